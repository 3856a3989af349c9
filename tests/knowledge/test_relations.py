from hypothesis import given
from hypothesis import strategies as st

from ercsatz.knowledge import Found, Inference, found_statements, statements
from ercsatz.knowledge.relations import inference, tidy

phrases = st.lists(st.sampled_from(["to help", "none", "None.", " glad ", "glad", "", "Sad.", "sad"]), max_size=6)


def test_a_statement_for_each_relation_that_has_phrases():
    known = Inference(("to be kind", "to help"), ("proud",), ())
    assert statements(known) == ("PersonX wants to be kind and to help.", "PersonX feels proud.")
    assert statements(Inference()) == ()


def test_statements_of_events_are_in_their_order_and_said_once():
    first, second = Inference(x_react=("sad",)), Inference(("to cry",), ("sad",), ("sorry",))
    found = [Found("PersonX falls", 0.9, first), Found("PersonX weeps", 0.5, second)]
    assert found_statements(found) == ("PersonX feels sad.", "PersonX wants to cry.", "PersonY feels sorry.")


@given(phrases)
def test_tidied_phrases_say_something_once_in_their_first_order(given_phrases):
    kept = tidy(given_phrases)
    assert tidy(kept) == kept
    forms = [phrase.casefold() for phrase in kept]
    wanted = [phrase.strip().rstrip(".").casefold() for phrase in given_phrases]
    assert forms == [form for form in dict.fromkeys(wanted) if form not in ("", "none")]


def test_an_inference_without_phrases_is_false():
    assert not inference({"xIntent": ["none"], "oReact": []})
    assert inference({"oReact": ["none", "glad"]}) == Inference(o_react=("glad",))
