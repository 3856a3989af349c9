from ercsatz.artifacts.keys import checkpoint_identity, code_sha256


def test_comments_and_layout_do_not_count_but_code_and_order_do(tmp_path):
    def version(*sources: str) -> str:
        files = [tmp_path / f"{number}.py" for number in range(len(sources))]
        for file, source in zip(files, sources, strict=True):
            file.write_text(source, encoding="utf-8")
        return code_sha256(files)

    first = version("x = 1\n", "y = 2\n")
    assert version("# note\nx  =  (1)\n", "\n\ny = 2") == first
    assert len({first, version("x = 2\n", "y = 2\n"), version("y = 2\n", "x = 1\n"), version("x = 1\n")}) == 4


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
