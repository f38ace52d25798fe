"""The benchmark's files and labels, as they are on disk and as they are downloaded."""

import pytest

from rnn_cookbook.errors import InputError
from rnn_cookbook.tasks.anomaly.nab_corpus import nab_files, read_nab
from rnn_cookbook.tasks.anomaly.streams import typical_step


def test_the_benchmark_has_its_files_and_its_labels(data_dir):
    names = nab_files(data_dir)
    streams = [read_nab(name, data_dir=data_dir) for name in names]
    assert (len(names), sum(len(one.windows) for one in streams)) == (58, 116)
    taxi = streams[names.index("realKnownCause/nyc_taxi.csv")]
    assert (len(taxi), taxi.season, str(typical_step(taxi.times))) == (
        10_320,
        48,
        "0 days 00:30:00",
    )


def test_the_benchmark_is_downloaded_and_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "rnn_cookbook.tasks.anomaly.nab_corpus.NAB_URL", (tmp_path / "none").as_uri()
    )
    with pytest.raises(InputError, match="could not be downloaded"):
        read_nab("realKnownCause/nyc_taxi.csv", data_dir=tmp_path)
    changed = tmp_path / "nab" / "data" / "realKnownCause" / "nyc_taxi.csv"
    changed.parent.mkdir(parents=True, exist_ok=True)
    changed.write_text("timestamp,value\n2014-07-01,1\n")
    with pytest.raises(InputError, match="is not the file of"):
        read_nab("realKnownCause/nyc_taxi.csv", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"no file 'a/b\.csv'"):
        read_nab("a/b.csv", data_dir=tmp_path)
