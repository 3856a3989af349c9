from ercsatz.training.fingerprint import code_sha256


def test_comments_and_layout_do_not_count_but_code_and_order_do(tmp_path):
    def version(*sources: str) -> str:
        files = [tmp_path / f"{number}.py" for number in range(len(sources))]
        for file, source in zip(files, sources, strict=True):
            file.write_text(source, encoding="utf-8")
        return code_sha256(files)

    first = version("x = 1\n", "y = 2\n")
    assert version("# note\nx  =  (1)\n", "\n\ny = 2") == first
    assert len({first, version("x = 2\n", "y = 2\n"), version("y = 2\n", "x = 1\n"), version("x = 1\n")}) == 4
