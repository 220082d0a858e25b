from __future__ import annotations

import torch

from distillery.methods.gradient_loss import with_gradient


def test_the_gradient_is_the_prescribed_one_also_behind_a_chain() -> None:
    weights = torch.randn(2, 4, 6, 10, requires_grad=True)
    grad = torch.randn(2, 4, 6, 10)

    loss = with_gradient(3 * weights, grad)
    (2 * loss).backward()

    torch.testing.assert_close(weights.grad, 6 * grad)
    assert loss.shape == ()
    torch.testing.assert_close(loss.detach(), 0.5 * grad.square().sum())


def test_no_gradient_reaches_the_prescription() -> None:
    x0 = torch.randn(1, 4, 3, 5, requires_grad=True)
    grad = torch.randn(1, 4, 3, 5, requires_grad=True)

    with_gradient(x0, grad).backward()

    assert grad.grad is None
