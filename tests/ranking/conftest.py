import pandas as pd
import pytest

# Weighted F1 (0 to 100) of Table IV in Kaplan, Carneiro and Wermter, "Can Large Language Models Generate Effective
# Datasets for Emotion Recognition in Conversations?" (2025).
_TABLE4 = """
benchmark test_set compm_org compm_nat compm_bal emoone_org emoone_nat emoone_bal todkat_org todkat_nat todkat_bal
meld      org      65.43     65.52     66.16     65.46      66.50      67.27      63.47      64.20      64.27
meld      nat      48.07     50.96     50.29     49.18      50.95      49.24      46.52      49.37      47.86
meld      bal      58.66     60.77     65.99     61.17      61.20      66.10      57.34      60.46      62.30
emorynlp  org      37.25     39.50     38.93     35.93      38.79      39.05      35.38      36.77      37.40
emorynlp  nat      31.66     35.89     34.00     28.85      34.06      34.73      28.37      37.14      31.12
emorynlp  bal      47.67     53.39     60.86     46.91      50.51      60.92      38.15      49.71      56.95
iemocap   org      65.21     68.06     67.87     67.19      69.28      67.81      54.63      55.96      53.39
iemocap   nat      16.76     37.58     27.08     19.84      35.85      27.89      26.02      30.86      30.27
iemocap   bal      34.05     53.89     59.62     33.20      50.26      60.35      40.23      41.94      47.64
"""


@pytest.fixture(scope="session")
def table4_csv() -> str:
    return "\n".join(",".join(line.split()) for line in _TABLE4.strip().splitlines()) + "\n"


@pytest.fixture
def records() -> pd.DataFrame:
    """Two classifiers x two variants on three test sets, two seeds."""
    base = {"compm": 0.50, "todkat": 0.40}
    gain = {"org": 0.0, "bal": 0.05}
    return pd.DataFrame(
        [
            {"classifier": c, "variant": v, "benchmark": "meld", "test_set": t, "seed": s, "w_f1": b + g + s / 100}
            for c, b in base.items()
            for v, g in gain.items()
            for t in ("org", "nat", "bal")
            for s in (1, 3)
        ]
    )
