"""The training job: a model described in a file, trained and exported from the command line.

A kind of job, the key `task` of a job file, is a folder whose module `kind` has one object, the
`TaskKind`; `kinds` names it. Nothing else knows the kinds one by one. Modules import from their own
line of this table and from those above it, never from below:

    surroundings    errors files log interruption memory metrics cuda_devices devices
    tables          moments values clocks steps axis units table_format delimited data categories
    what a kind has config output sample predictions picture summary task predictor
                    series_predictor task_kind
    shared by kinds regression scaled_rows time_series
    kinds of jobs   kinds.NAMES
    job files       kinds reading job_schema
    training        progress workers objective lbfgs gluon em starts state
                    uncertainty warning earlier_run train
    predictions     predict
    commands        launch serving commands cli __main__ sagemaker sagemaker_job sagemaker_cluster
                    container
"""
