"""URLs: recognition, hidden secrets and file names."""

from deepchrome.common.urls import hide_secrets, is_url, url_file_name


def test_urls_are_recognized() -> None:
    for url in ("http://h/x", "HTTPS://h/x", "s3://bucket/key"):
        assert is_url(url)
    for path in ("x", "-", "/http://x", "ftp://h/x", "http:/h/x", "C:\\x", "gs://b/k"):
        assert not is_url(path)
        assert hide_secrets(path) == path


def test_secrets_are_hidden() -> None:
    assert (
        hide_secrets("https://me:pw@host:8/a%20b/E1-A.bed.gz?X-Amz-Signature=abc#part")
        == "https://host:8/a%20b/E1-A.bed.gz"
    )
    assert hide_secrets("ftp://me:pw@host/x") == "ftp://host/x"
    assert hide_secrets("https://host?token=abc") == "https://host"


def test_file_name_is_the_last_part_of_the_path() -> None:
    assert url_file_name("https://host/a/E1-A%2Bb.bed.gz?x=/y-z.bed#/w-v.bed") == "E1-A+b.bed.gz"
    assert url_file_name("s3://bucket/a/E1-A.bed.gz") == "E1-A.bed.gz"
    assert url_file_name("https://host") == "host"
