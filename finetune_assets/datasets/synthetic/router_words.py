"""Words of the synthetic routing traces: subjects of study and the ways to ask about them. Written for this project."""

from __future__ import annotations

from typing import NamedTuple


class Subject(NamedTuple):
    """One subject.

    Attributes:
        name: as it stands in a sentence.
        tag: as it stands in the tags.
        result: what can be derived about it.
        program: what can be programmed.
        metric: what can be measured.
    """

    name: str
    tag: str
    result: str
    program: str
    metric: str


SUBJECTS = (
    Subject("gradient descent on ravines", "gradient-descent", "the step size bound", "a descent loop", "final loss"),
    Subject("ridge regression", "ridge-regression", "the closed form with its bias", "a ridge solver", "test error"),
    Subject("Bayesian coin inference", "bayesian-inference", "the posterior mean", "a posterior sampler", "coverage"),
    Subject("random walks on graphs", "random-walks", "the mixing time bound", "a walk simulator", "hitting time"),
    Subject("matrix low-rank approximation", "low-rank", "the truncation error", "a truncated factoriser", "residual"),
    Subject("queueing at a help desk", "queueing", "the mean waiting time", "an arrival simulator", "waiting time"),
    Subject("image compression by wavelets", "wavelets", "the energy kept by k terms", "a wavelet coder", "distortion"),
    Subject(
        "epidemic spread in schools", "epidemics", "the outbreak threshold", "a stepwise outbreak model", "peak day"
    ),
    Subject("recommender factorisation", "recommenders", "the update of each factor", "a factor model", "hit rate"),
    Subject("text classification by naive Bayes", "naive-bayes", "the decision rule", "a word counter model", "recall"),
    Subject("k-means clustering", "clustering", "why the objective falls", "a seeded clusterer", "silhouette"),
    Subject("Kalman filtering of a drone", "kalman-filter", "the gain equation", "a state estimator", "position error"),
    Subject(
        "Monte Carlo option pricing", "monte-carlo", "the variance of the estimator", "a path sampler", "half width"
    ),
    Subject("policy gradients on a cart pole", "policy-gradient", "the gradient theorem", "a policy trainer", "reward"),
    Subject("graph colouring heuristics", "graph-colouring", "the colour bound", "a greedy colourer", "colours used"),
    Subject(
        "sparse recovery by lasso", "sparse-recovery", "the optimality conditions", "a lasso path", "support recall"
    ),
    Subject("differential privacy of counts", "privacy", "the noise scale", "a noisy counter", "privacy loss"),
    Subject(
        "attention in small transformers", "attention", "the cost of one layer", "an attention block", "perplexity"
    ),
    Subject("hash table resizing", "hashing", "the amortised cost", "a resizing table", "probe length"),
    Subject(
        "polynomial interpolation", "interpolation", "the error between nodes", "a barycentric fitter", "worst gap"
    ),
    Subject("A/B testing with peeking", "ab-testing", "the inflated error rate", "a sequential tester", "false alarms"),
    Subject("Markov chain text models", "markov-chains", "the stationary distribution", "a chain writer", "entropy"),
    Subject("support vector kernels", "kernels", "the dual problem", "a kernel classifier", "margin"),
    Subject("spectral graph partitioning", "spectral-methods", "the cut relaxation", "a partitioner", "cut size"),
    Subject("numerical heat diffusion", "diffusion", "the stability limit", "an explicit scheme", "energy drift"),
    Subject(
        "survival curves of machines", "survival-analysis", "the product estimator", "a survival fitter", "calibration"
    ),
    Subject("error-correcting Hamming codes", "coding-theory", "the correction radius", "an encoder", "block errors"),
    Subject("bandits for headline choice", "bandits", "the regret bound", "a bandit simulator", "regret"),
    Subject("genetic algorithms for timetables", "genetic-algorithms", "the schema estimate", "an evolver", "clashes"),
    Subject("principal components of spectra", "pca", "the variance explained", "a component finder", "variance kept"),
    Subject(
        "quantile regression for demand", "quantile-regression", "the pinball gradient", "a quantile fitter", "coverage"
    ),
    Subject("federated averaging", "federated-learning", "the drift between clients", "a round simulator", "accuracy"),
    Subject("shortest paths with tolls", "shortest-paths", "the label bound", "a path finder", "nodes settled"),
    Subject("robust estimation with outliers", "robust-statistics", "the breakdown point", "a robust fitter", "bias"),
    Subject("small language model distillation", "distillation", "the loss of the student", "a distiller", "agreement"),
    Subject(
        "time series of river levels", "forecasting", "the forecast variance", "a rolling forecaster", "scaled error"
    ),
)

OPENINGS = (
    "For a seminar next week I need to understand {name}",
    "Our study group argues about {name} and nobody has a proof",
    "I inherited a notebook about {name} and do not trust its numbers",
    "Please plan a small investigation of {name}",
    "My supervisor wants a short but rigorous note on {name}",
    "We are choosing a method for our product and look at {name}",
    "Help me to prepare a worked example of {name}",
    "I read two articles that contradict each other on {name}",
    "Before we buy software for it, I would like to see how far we get with {name}",
    "I teach an evening class and the next topic is {name}",
    "A colleague left me a half-finished report on {name}",
    "We lost a bet about {name} and want to settle it properly",
    "For my thesis appendix I have to explain {name}",
    "An auditor asks how our figures depend on {name}",
    "I would like to compare three accounts of {name}",
    "The library's reading circle picked {name} for May",
)

WISHES = (
    "derive {result} from first principles and say where the assumptions enter",
    "show how {result} changes when the sample grows tenfold",
    "explain {result} to readers who know calculus but no measure theory",
    "find out whether {result} still holds when the noise is heavy-tailed",
    "work out {result} by hand for three tiny cases before the general one",
    "give a bound that follows from {result} and that one can check on paper",
    "connect {result} with what textbooks of the nineties say about it",
    "state {result} with its constants instead of order symbols",
    "prove {result} twice, once by algebra and once by a picture",
    "say which part of {result} fails first when inputs are correlated",
    "list the places in {result} where rounding could matter",
    "reduce {result} to a rule of thumb and say how wrong the rule can be",
)

DATA = (
    "using a table of bicycle counts from four bridges",
    "on simulated inputs with a known answer",
    "with the readings of twelve weather stations",
    "on a hundred handwritten digits that I scanned myself",
    "for the marks of two school years, names removed",
    "with power readings of one household over a winter",
    "on the sales of a bakery with three branches",
    "for tide gauges along one coast, gaps included",
    "with ratings that forty readers gave to sixty novels",
    "on logs of a small web shop, one line for each visit",
    "for bird sightings that volunteers entered by telephone",
    "with the timetable and the delays of a tram line",
    "on synthetic patients whose outcomes we chose ourselves",
    "for measurements of a spring that slowly wears out",
)

DEMANDS = (
    "The program must finish within ten minutes on a laptop without a graphics card.",
    "Every figure needs its uncertainty, and every claim a source.",
    "Two seeds must give the same ranking, or the report has to say so.",
    "I want to see {metric} plotted against the size of the input.",
    "Keep the derivation to two pages and put long steps into an appendix.",
    "Compare {metric} with a baseline that needs no training at all.",
    "State plainly what would make you withdraw the conclusion.",
    "Nothing may depend on data that we are not allowed to share.",
    "Report {metric} on inputs that were not used for any choice.",
    "Name the two most recent surveys, and say where they disagree.",
    "Make the code readable for students in their second year.",
    "Tell me which step to cut if we run out of time.",
)

SEARCHES = (
    "{name} survey with proofs",
    "{name} error analysis lecture notes",
    "{name} open benchmark results",
    "{name} known failure cases",
    "{name} comparison of implementations",
    "recent results on {name}",
)
