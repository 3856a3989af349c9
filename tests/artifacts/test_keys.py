from ercsatz.artifacts.keys import checkpoint_identity


def test_a_checkpoint_folder_is_told_by_its_content(tmp_path):
    def folder(name: str, weights: bytes = b"w", **more: str) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        for file, text in more.items():
            (tmp_path / name / f"{file}.json").write_text(text)
        return str(tmp_path / name)

    one = checkpoint_identity(folder("one", config="{}"))
    assert one == checkpoint_identity(folder("same", config="{}", stage='{"seconds": 3}'))
    assert one != checkpoint_identity(folder("other", weights=b"v", config="{}"))
    assert one != checkpoint_identity(folder("another", config='{"a": 1}'))


def test_a_hub_name_is_its_own_identity():
    assert checkpoint_identity("FacebookAI/roberta-base") == "FacebookAI/roberta-base"
    assert checkpoint_identity(None) is None
