import pytest

from ercsatz.config.elsewhere import refuse_foreign
from ercsatz.config.registry import open_folders
from ercsatz.errors import UserError


@pytest.mark.parametrize(
    ("argument", "ours"),
    [
        ("trainer.accumulate_grad_batches=4", "training.batch_tokens"),
        ("+accumulate_grad_batches=4", "trainer.memory_tokens is accumulated by itself"),
        ("training.gradient_accumulation_steps=2,4", "training.batch_tokens"),
        ("trainer.max_epochs=3", "training.epochs"),
        ("training.warmup_steps=100", "training.warmup"),
        ("trainer.gradient_clip_val=1", "training.clip"),
        ("training.schedule=steps", "training.schedule=linear"),
        ("training.schedule=cosine,steps", "training.schedule=linear"),
        ("callbacks=early_stopping", "training.patience=N"),
        ("callbacks=[learning_rate_monitor,early_stopping]", "training.patience=N"),
    ],
)
def test_a_name_from_elsewhere_is_refused_with_ours(argument, ours):
    with pytest.raises(UserError) as error:
        refuse_foreign(["data=mini_org", argument])
    assert ours in str(error.value)
    assert str(error.value).startswith(argument)


def test_our_own_names_are_not_refused():
    refuse_foreign(["-m", "training.batch_tokens=4", "callbacks=none", "training.schedule=linear,cosine", "--help"])
    refuse_foreign(["classifier.batch_size=3", "loss.accumulate=1", "paths.data=early_stopping"])


def test_a_yaml_of_the_users_own_may_have_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr("ercsatz.config.registry._given", [])
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "early_stopping.yaml").touch()
    open_folders([tmp_path])
    refuse_foreign(["callbacks=early_stopping"])
