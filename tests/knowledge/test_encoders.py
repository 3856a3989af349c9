import numpy as np
import pytest

from ercsatz.errors import UserError
from ercsatz.knowledge.encoders import lexical, pretrained


def test_a_missing_checkpoint_is_refused_with_its_key(tmp_path):
    with pytest.raises(UserError, match=r"retrieve\.encoder=.*nowhere"):
        pretrained(str(tmp_path / "nowhere"))


def test_lexical_vectors_depend_on_events_and_not_on_other_utterances():
    encoder = lexical(["PersonX paints the house", "PersonX is late"])
    alone = encoder.encode(["My house is late"]).toarray()
    among = encoder.encode(["late late late", "My house is late"]).toarray()[1:]
    np.testing.assert_array_equal(alone, among)
    assert np.linalg.norm(alone) == pytest.approx(1)
    assert "lexical" in encoder.name


def test_events_without_words_are_refused():
    with pytest.raises(UserError, match="Events without words"):
        lexical(["PersonX ___", "PersonY"])
