from serve_app.classifier.scheduler import AlternatingOrder

SIZES = [3, 1, 2, 1]


def test_service_alternates_between_size_and_arrival() -> None:
    order = AlternatingOrder()
    served = [order.next(SIZES, lambda size: size) for _ in range(3)]
    assert served == [[1, 3, 2, 0], [0, 1, 2, 3], [1, 3, 2, 0]]
