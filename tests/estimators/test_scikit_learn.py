"""The estimators as scikit-learn asks for them, and beside its own."""

import pickle
import sys

import numpy as np
import pytest
from sklearn import datasets, decomposition, gaussian_process, linear_model
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gluon_linalg import kernels
from gluon_linalg.estimators import LDA, PCA, BayesianRegressor, GPClassifier, GPRegressor


def run(check, estimator):
    # It asks itself for an array that the joblib of such old Pythons cannot make.
    wanted = getattr(check, "keywords", {})
    if sys.version_info < (3, 9) and wanted.get("readonly_memmap") and "pickle" in str(check):
        pytest.skip("not with the scikit-learn of Python 3.8")
    check(estimator)


@parametrize_with_checks([PCA(), LDA(), BayesianRegressor()])
def test_checks_of_scikit_learn(estimator, check):
    run(check, estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [GPRegressor(), GPRegressor(n_inducing=20), GPClassifier(n_inducing=20, iterations=5)]
)
def test_checks_of_scikit_learn_with_processes(estimator, check):
    run(check, estimator)


@pytest.mark.parametrize("whiten", [False, True])
def test_principal_components(whiten):
    x = datasets.load_iris().data
    ours, theirs = PCA(3, whiten).fit(x), decomposition.PCA(3, whiten=whiten).fit(x)
    np.testing.assert_allclose(ours.explained_variance_, theirs.explained_variance_, rtol=1e-12)
    np.testing.assert_allclose(
        ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-12
    )
    signs = np.sign(np.sum(ours.components_ * theirs.components_, axis=1))
    np.testing.assert_allclose(ours.components_, signs[:, None] * theirs.components_, atol=1e-12)
    np.testing.assert_allclose(ours.transform(x), signs * theirs.transform(x), atol=1e-11)
    back = theirs.inverse_transform(theirs.transform(x))
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(x)), back, atol=1e-12)


def test_discriminants_are_bayes_rule_for_gaussians_of_one_covariance():
    x, y = datasets.load_wine(return_X_y=True)
    ours = LDA(ridge=0.0).fit(x, y)
    means = np.stack([x[y == c].mean(axis=0) for c in range(3)])
    scatter = sum(np.cov(x[y == c].T, ddof=0) * np.sum(y == c) for c in range(3)) / len(x)
    away = x[:, None] - means
    squares = np.einsum(
        "ncd,ncd->nc", away, np.linalg.solve(scatter, away.reshape(-1, 13).T).T.reshape(away.shape)
    )
    density = ours.priors_ * np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)))
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours.predict_proba(x), expected, atol=1e-9)
    assert ours.transform(x).shape == (178, 2)
    assert LDA(1).fit(x, y).transform(x).shape == (178, 1)


def test_bayesian_regression_beside_bayesian_ridge():
    x, y = datasets.load_diabetes(return_X_y=True)
    x = 100.0 * x + 7.0
    ours = BayesianRegressor().fit(x, y)
    flat = dict(alpha_1=0.0, alpha_2=0.0, lambda_1=0.0, lambda_2=0.0)
    theirs = linear_model.BayesianRidge(**flat, max_iter=3000, tol=1e-12)
    theirs.fit((x - x.mean(axis=0)) / x.std(axis=0), y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_ / x.std(axis=0), rtol=1e-4)
    deviations = np.sqrt(np.diagonal(theirs.sigma_)) / x.std(axis=0)
    np.testing.assert_allclose(ours.coef_std_, deviations, rtol=1e-4)
    np.testing.assert_allclose(ours.noise_variance_, 1.0 / theirs.alpha_, rtol=1e-4)
    mean, deviation = ours.predict(x[:9], return_std=True)
    scaled = (x[:9] - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(mean, theirs.predict(scaled), rtol=1e-5)
    np.testing.assert_allclose(deviation, theirs.predict(scaled, return_std=True)[1], rtol=1e-4)
    np.testing.assert_allclose(ours.predict(np.zeros((1, 10))), ours.intercept_, rtol=1e-9)


def test_automatic_relevance():
    random = np.random.RandomState(0)
    x = random.normal(size=(80, 4))
    y = 2.0 * x[:, 1] + 0.1 * random.normal(size=80)
    found = BayesianRegressor(automatic_relevance=True).fit(x, y)
    np.testing.assert_allclose(found.coef_, [0, 2, 0, 0], atol=0.05)
    variances = found.result_.parameters["prior_variance"]
    assert np.argmax(variances) == 1


def test_process_regression_beside_that_of_scikit_learn():
    random = np.random.RandomState(1)
    x = random.uniform(-3, 3, (40, 2))
    y = 50.0 + 10.0 * (np.sin(2 * x[:, 0]) + 0.3 * x[:, 1] + 0.1 * random.normal(size=40))
    ours = GPRegressor().fit(x, y)
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0]) + WhiteKernel(0.1)
    theirs = gaussian_process.GaussianProcessRegressor(kernel, normalize_y=True, alpha=0.0)
    theirs.fit(x, y)
    np.testing.assert_allclose(
        ours.log_marginal_likelihood_, theirs.log_marginal_likelihood_value_, rtol=1e-6
    )
    new = random.uniform(-3, 3, (7, 2))
    mean, covariance = theirs.predict(new, return_cov=True)
    np.testing.assert_allclose(ours.predict(new), mean, rtol=1e-4)
    np.testing.assert_allclose(
        ours.predict(new, return_std=True)[1], theirs.predict(new, return_std=True)[1], rtol=1e-3
    )
    np.testing.assert_allclose(
        ours.predict(new, return_cov=True)[1], covariance, rtol=1e-2, atol=1e-3
    )
    draws = ours.sample_y(new, 4000, random_state=0)
    np.testing.assert_allclose(draws.mean(axis=1), ours.predict(new), atol=0.4)
    twin = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(twin.predict(new), ours.predict(new))


def two_targets():
    random = np.random.RandomState(2)
    x = random.uniform(-3, 3, (40, 2))
    y = np.stack([5.0 + np.sin(2 * x[:, 0]), 300.0 * x[:, 1] - 7.0], axis=1)
    return x, y + [0.1, 30.0] * random.normal(size=(40, 2)), random.uniform(-3, 3, (5, 2))


def test_processes_of_several_targets_have_one_kernel():
    x, y, new = two_targets()
    ours = GPRegressor().fit(x, y)
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0]) + WhiteKernel(0.1)
    theirs = gaussian_process.GaussianProcessRegressor(kernel, normalize_y=True, alpha=0.0)
    theirs.fit(x, y)
    np.testing.assert_allclose(
        ours.log_marginal_likelihood_, theirs.log_marginal_likelihood_value_, rtol=1e-6
    )
    mean, covariance = theirs.predict(new, return_cov=True)
    np.testing.assert_allclose(ours.predict(new), mean, rtol=1e-3, atol=1e-3)
    found = ours.predict(new, return_cov=True)[1]
    assert found.shape == (5, 5, 2)
    np.testing.assert_allclose(found, covariance, rtol=2e-2, atol=1e-3)
    deviations = ours.predict(new, return_std=True)[1]
    np.testing.assert_allclose(deviations**2, np.diagonal(found).T, rtol=1e-9)
    assert ours.sample_y(new, 3, random_state=0).shape == (5, 2, 3)
    assert ours.noise_variance_.shape == (2,)


def test_weights_of_several_targets_are_those_of_each():
    x, y, new = two_targets()
    ours = BayesianRegressor().fit(x, y)
    found = ours.result_.parameters
    noise, prior = (float(found[n][0]) for n in ("noise_variance", "prior_variance"))
    phi, scaled = (x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0)
    weights = np.linalg.solve(phi.T @ phi + noise / prior * np.eye(2), phi.T @ scaled)
    expected = (weights * y.std(0)).T / x.std(0)
    np.testing.assert_allclose(ours.coef_, expected, rtol=1e-8)
    np.testing.assert_allclose(ours.intercept_, y.mean(0) - expected @ x.mean(0), rtol=1e-8)
    mean, deviation = ours.predict(new, return_std=True)
    np.testing.assert_allclose(mean, ours.intercept_ + new @ expected.T, rtol=1e-8)
    assert deviation.shape == (5, 2)
    np.testing.assert_allclose(deviation[:, 1] / deviation[:, 0], y.std(0)[1] / y.std(0)[0])


def test_a_sparse_process_is_near_the_exact_one():
    random = np.random.RandomState(3)
    x = random.uniform(0, 6, (80, 1))
    y = 9.0 + 4.0 * np.sin(2 * x[:, 0]) + random.normal(size=80)
    exact, sparse = GPRegressor().fit(x, y), GPRegressor(n_inducing=20).fit(x, y)
    assert sparse.predictor_.inducing.shape[1] == 20
    assert sparse.log_marginal_likelihood_ <= exact.log_marginal_likelihood_ + 1e-6
    new = np.linspace(0.2, 5.8, 9)[:, None]
    for ours, theirs in zip(
        sparse.predict(new, return_std=True), exact.predict(new, return_std=True)
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0.01, atol=0.02)


def test_names_of_columns_go_through_a_pipeline():
    table = datasets.load_wine(as_frame=True)
    x, y = table.data, table.target
    pipeline = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas")
    assert list(pipeline.fit_transform(x)) == ["pca0", "pca1"]
    model = LDA().fit(x, y)
    assert list(model.feature_names_in_) == list(x.columns) and model.n_features_in_ == 13
    with pytest.raises(ValueError, match="feature names"):
        model.predict(x[x.columns[::-1]])
    with pytest.raises(TypeError, match="sample_weight"):
        BayesianRegressor().fit(x, y, sample_weight=np.ones(len(x)))


def test_the_kernel_given_stays_as_it_is():
    kernel = kernels.Matern52(lengthscale=2.0)
    kernel.initialize()
    random = np.random.RandomState(0)
    x = random.uniform(0, 9, (30, 1))
    model = GPRegressor(kernel).fit(x, np.sin(x[:, 0]))
    assert float(kernel.lengthscale.data().exp().asscalar()) == pytest.approx(2.0, rel=1e-6)
    assert clone(model).fit(x, np.cos(x[:, 0])).score(x, np.cos(x[:, 0])) > 0.999


def test_classification_beside_that_of_scikit_learn():
    x, y = datasets.load_iris(return_X_y=True)
    x, y = x[50:, 2:], np.array(["versicolor", "virginica"])[y[50:] - 1]
    ours = GPClassifier(n_inducing=15).fit(x, y)
    theirs = gaussian_process.GaussianProcessClassifier(ConstantKernel(1.0) * RBF([1.0, 1.0]))
    theirs.fit(x, y)
    assert np.mean(ours.predict(x) == theirs.predict(x)) >= 0.98
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=0.15)
    with pytest.raises(ValueError, match="one class only"):
        GPClassifier().fit(x, np.zeros(len(x)))


def test_classes_of_any_kind():
    x, y = datasets.load_iris(return_X_y=True)
    model = GPClassifier(n_inducing=12, iterations=5).fit(x[::3], y[::3] * 10 + 5)
    assert list(model.classes_) == [5, 15, 25]
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1.0, rtol=1e-12)
    assert np.mean(model.predict(x) == y * 10 + 5) > 0.9


def test_a_grid_over_a_pipeline():
    x, y = datasets.load_wine(return_X_y=True)

    def scores(*steps):
        grid = {"pca__n_components": [1, 5]}
        pipeline = make_pipeline(StandardScaler(), *steps)
        return GridSearchCV(pipeline, grid, cv=3).fit(x, y).cv_results_["mean_test_score"]

    theirs = scores(decomposition.PCA(), LinearDiscriminantAnalysis())
    np.testing.assert_allclose(scores(PCA(), LDA()), theirs, rtol=1e-12)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x, y: PCA(9).fit(x), "1 to 4 components"),
        (lambda x, y: LDA(3).fit(x, y), "1 to 2 directions"),
        (lambda x, y: LDA().fit(x, np.zeros(len(x))), "one class only"),
        (lambda x, y: GPRegressor().fit(x, np.array(["a", "b"])[y % 2]), "could not convert"),
        (lambda x, y: BayesianRegressor().fit(x, np.array(["a", "b"])[y % 2]), "could not convert"),
    ],
)
def test_errors(make, message):
    x, y = datasets.load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        make(x, y)
