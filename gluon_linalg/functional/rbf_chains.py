"""Chains whose covariance is nearly that of the RBF kernel, and how nearly.

Couplings and damping (`sde_chains.Chain`), in units of 1 / lengthscale, for which the
largest difference between the covariance and exp(-h²/2), over all h, is least; and that
difference. Without an end the chain would have the couplings √k and be exact. The series
of 1 / S(ω) of Hartikainen & Särkkä 2010, with as many states, differs by 2e-2 for 4,
4e-3 for 6 and 9e-4 for 8. Written by `tests/functional/rbf_chain_reference.py`.
"""

RBF_CHAINS = {
    2: ((1.25413324521, 1.8942416134), 0.0276),
    3: ((1.03859304077, 2.10349921193, 3.25777039918), 0.00644),
    4: ((1.009600407, 1.54390662869, 2.97156020004, 4.72321442833), 0.00169),
    5: ((1.00276780385, 1.45164653369, 2.00112564559, 3.87851252546, 6.27948433496), 0.000472),
    6: (
        (1.00085287223, 1.42644688863, 1.8192722141, 2.45144073149, 4.82799388567, 7.91975818572),
        0.000137,
    ),
    7: (
        (
            1.00027226722,
            1.41842834571,
            1.76369479088,
            2.1601151842,
            2.90822563251,
            5.820338551,
            9.63952809666,
        ),
        4.07e-05,
    ),
    8: (
        (
            1.0000887213,
            1.41570263299,
            1.74405641198,
            2.06325821929,
            2.49200084173,
            3.37698614929,
            6.85499899687,
            11.435466647,
        ),
        1.24e-05,
    ),
    9: (
        (
            1.00002872338,
            1.41473707259,
            1.73662122072,
            2.02570720086,
            2.34333708687,
            2.8201918832,
            3.85223650539,
            7.90724301844,
            13.2593012369,
        ),
        4.13e-06,
    ),
}
