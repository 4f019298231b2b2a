import torch

from swtformer.refiners import create_refiner


def two_halves() -> tuple[torch.Tensor, torch.Tensor]:
    """A picture with an edge in the middle, and a map that reaches a fifth too far."""
    image = torch.zeros(3, 40, 60)
    image[:, :, 30:] = 0.9
    maps = torch.zeros(2, 10, 15)
    maps[1, :, 5:] = 1
    maps[0] = 1 - maps[1]
    return image, maps


def test_maps_come_to_follow_the_edge() -> None:
    image, maps = two_halves()
    refined = create_refiner("par", {"stride": 1}).refine(image, maps)
    assert refined.shape == (2, 40, 60)
    assert (refined.argmax(0)[:, 33:] == 1).all()
    assert (refined[1, :, 29] < refined[1, :, 30]).all()


def test_the_stride_and_the_iterations_are_the_settings() -> None:
    image, maps = two_halves()
    coarse = create_refiner("par", {"stride": 3}).refine(image[:, :38], maps)
    assert coarse.shape == (2, 13, 20)
    once = create_refiner("par", {"iterations": 1}).refine(image, maps)
    often = create_refiner("par", {"iterations": 20}).refine(image, maps)
    assert not torch.equal(once, often)
