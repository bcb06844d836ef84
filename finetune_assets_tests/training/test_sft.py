import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from finetune_assets.training.rows import IGNORED
from finetune_assets.training.sft import StopOnSignal, answer_loss


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    return LlamaForCausalLM(shape).eval()


def batch(lengths, width=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 50, (len(lengths), width), generator=generator)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.ones_like(ids)
    for row, (prompt, total) in enumerate(lengths):
        ids[row, total:] = 0
        mask[row, total:] = 0
        labels[row, prompt:total] = ids[row, prompt:total]
    return ids, labels, mask


lengths = st.lists(st.tuples(st.integers(1, 6), st.integers(7, 10)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=25)
@given(lengths=lengths)
def test_the_loss_is_the_usual_one_of_all_columns_with_the_padding_masked(model, lengths):
    ids, labels, mask = batch(lengths)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
        usual = functional.cross_entropy(
            logits[:, :-1].reshape(-1, 50), labels[:, 1:].reshape(-1), ignore_index=IGNORED
        )
        assert answer_loss(model, ids, labels).item() == pytest.approx(usual.item(), abs=1e-5)


def test_the_gradient_is_the_usual_one_too(model):
    ids, labels, mask = batch([(3, 8), (5, 10), (2, 7)])
    parameters = list(model.parameters())
    ours = torch.autograd.grad(answer_loss(model, ids, labels), parameters)
    usual = torch.autograd.grad(model(input_ids=ids, attention_mask=mask, labels=labels).loss, parameters)
    for one, other in zip(ours, usual, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_divisor_of_accumulated_steps_is_used(model):
    ids, labels, _ = batch([(3, 8), (5, 10)])
    count = int((labels[:, 1:] != IGNORED).sum())
    with torch.no_grad():
        mean, half = answer_loss(model, ids, labels), answer_loss(model, ids, labels, 2 * count)
    assert half.item() == pytest.approx(mean.item() / 2)


def test_a_batch_without_labels_gives_zero(model):
    ids, labels, _ = batch([(3, 8)])
    assert answer_loss(model, ids, torch.full_like(labels, IGNORED)).item() == 0.0


def test_a_signal_asks_for_a_checkpoint_and_the_end():
    import signal
    from types import SimpleNamespace

    stop = StopOnSignal()
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    before = signal.getsignal(signal.SIGTERM)
    restore = stop.install()
    try:
        stop.on_step_end(None, None, control)
        assert not control.should_save
        signal.raise_signal(signal.SIGTERM)
        stop.on_step_end(None, None, control)
    finally:
        restore()
    assert stop.asked == signal.SIGTERM
    assert (control.should_save, control.should_training_stop) == (True, True)
    assert signal.getsignal(signal.SIGTERM) is before
