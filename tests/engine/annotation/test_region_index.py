"""The index of a layout is built once and freed with its layout."""

import gc
import pickle
import weakref

from oracle.naive import Gene
from support.engine import windows

from deepchrome.engine.annotation.region_index import build_region_index, region_index

GENES = [Gene("chr1", 50_000, "+"), Gene("chr1", 60_000, "-")]


def test_index_is_built_once_and_freed_with_its_layout() -> None:
    placed = windows(GENES, {"chr1": 100_000}, 5000, 100)
    size = len(pickle.dumps(placed.layout))
    index = region_index(placed.layout)
    assert region_index(placed.layout) is index
    assert region_index(placed.layout, "same").accepts.tolist() != index.accepts.tolist()
    assert index.segments.points.tolist() == build_region_index(placed.layout).segments.points.tolist()
    assert len(pickle.dumps(placed.layout)) == size
    assert pickle.loads(pickle.dumps(placed.layout)).indexes == {}
    freed = [weakref.ref(index), weakref.ref(placed.layout)]
    del placed, index
    gc.collect()
    assert [found() for found in freed] == [None, None]
