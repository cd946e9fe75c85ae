"""Every number that decides what is drift and what is chance, each with its reason."""

from typing import Final

FEWEST_RECORDS: Final = 100
"""Nothing is said on fewer records, on either side: a share of less than a hundred is mostly chance."""
CHANCE: Final = 0.001
"""A field counts as come or gone when its records would lie on one side alone less often than this by chance."""
TAIL_SHARE: Final = 0.2
"""A field that goes in the midst of a run is gone once this share of the run's records is without it..."""
DENSE_SHARE: Final = 0.9
"""... and it stood in this share of records before: a rarer one may as well depend on the order of records."""
NEARLY_ALL: Final = 0.99
"""A mapped field that so many records had is expected of each: one without it would overwrite a value by NULL."""
LEARNED_RECORDS: Final = 10_000
"""Good runs teach the accepted shape until it stands on so many records; then it stays, or it would creep along."""
FEWEST_COMPARED: Final = 30
"""Values of a rare field on either side; fewer say nothing of its types and nulls."""
CHANGED_SHARE: Final = 0.5
"""So many values of types that were not there before: the field has changed its type. Fewer: the mix has shifted."""
UNKNOWN_SHARE: Final = 0.02
"""A type that fewer values had before than this is one that was not there."""
MIX_SHARE: Final = 0.05
"""So many values of types that were not there before are a shift of the mix: fewer are single bad records, which become
rejects."""
MOVED_SHARE: Final = 0.25
"""So many values must have moved between types that were all there before: between those, some movement is usual."""
FEWEST_VALUES: Final = 5
"""Fewer odd values than this are accidents, whatever their share."""
SURE_SCORE: Final = 4.0
"""Standard errors: by chance once in 16,000 comparisons, and a wide source has hundreds of fields in each run."""
NULL_EFFECT: Final = 0.45
"""Cohen's h between null shares; 0.5 is called a medium effect. 0 to 5 %, 10 to 27 % or 50 to 72 % are enough."""
SCALE_FACTOR: Final = 5.0
"""Medians that differ by less are seasons and growth; units differ by 10, 100, 1000, 24, 60, 3600."""
SCALE_SPREAD: Final = 2.0
"""A change of unit moves all quartiles by one factor: they may differ by no more than this from one another."""
APART_FACTOR: Final = 1.5
"""Where the two sides hardly share a value, this factor between medians is enough (degrees Celsius to Fahrenheit)."""
APART_OVERLAP: Final = 0.15
"""Hardly share a value: the part of the distributions that is common."""
FAR_FACTOR: Final = 10.0
"""A number is far out when it is so many times larger than the largest before."""
FAR_SHARE: Final = 0.02
"""So many numbers that are far out are a shift of the range."""
OUT_FACTOR: Final = 2.0
"""A number is out of the range when it is so many times larger than the largest before."""
SIGN_SHARE: Final = 0.1
"""So many numbers that are out, or negative or zero where none was before; fewer are corrections and refunds."""
DENSE_SEQUENCE: Final = 0.05
"""Whole numbers that differ from one another and fill this part of their range are running numbers: they only grow."""
ENUMERATION_VALUES: Final = 24
"""An enumeration has at most so many values..."""
ENUMERATION_REPEATS: Final = 8
"""... and each stands in so many records on average; else new values are to be expected."""
NEW_VALUE_SHARE: Final = 0.01
"""So many records with new values of an enumeration; and more than five times what its rare values let expect."""
NEW_NUMBER_SHARE: Final = 0.05
"""The same for enumerations of numbers, beside values that are known: numbers also count, and counts grow."""
FORMAT_SHARE: Final = 0.05
"""So many dates in a format that was not there before."""
DUPLICATE_SHARE: Final = 0.2
"""So many more values that repeat another..."""
FEW_DUPLICATES: Final = 0.05
"""... in a field that had no more than these: in others, chance repeats values."""
RENAME_CONFIDENCE: Final = 0.7
"""A rename of less confidence is told as a missing and an added field."""
RENAME_MARGIN: Final = 0.03
"""Two candidates for one field that are closer than this cannot be told apart: neither is proposed."""
MOST_CANDIDATES: Final = 60
"""So many missing and as many added fields, the most frequent, are paired: comparing grows with their product."""
