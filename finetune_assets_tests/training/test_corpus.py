import json
import re
from collections import Counter

import pytest
from pydantic import ValidationError

from finetune_assets.datasets.synthetic.actions import ACTIONS
from finetune_assets.datasets.synthetic.early_years import ATTRIBUTES, LEGAL_PAIRS, LEVELS
from finetune_assets.training.corpus import CorpusConfig, Document, build_corpus, corpus_digest
from finetune_assets.training.prose import PROSE

NAMES = tuple(sorted(attribute.name for attribute in ATTRIBUTES.values()))
CONFIG = CorpusConfig(
    observations=400,
    text_echoes=60,
    labels=300,
    label_echoes=200,
    forms=60,
    prose_copies=2,
    label_values=(("physical", "social"), NAMES, LEVELS),
)
KEYS = re.compile("|".join(CONFIG.label_keys))
PHRASES = tuple(
    phrase for phrasings in ACTIONS.values() for group in (phrasings.common, phrasings.unseen) for phrase in group
)


@pytest.fixture(scope="module")
def documents():
    return build_corpus(CONFIG)


def holds_observation(text: str) -> bool:
    return any(phrase in text for phrase in PHRASES)


def holds_label(text: str) -> bool:
    return KEYS.search(text) is not None or any(f'"{name}"' in text for name in (*NAMES, *LEVELS))


def test_no_document_holds_an_observation_and_a_label(documents):
    observations = [document for document in documents if holds_observation(document.text)]
    labels = [document for document in documents if holds_label(document.text)]
    # Both are there, or the test would prove nothing.
    assert len(observations) == CONFIG.observations + CONFIG.text_echoes
    assert len(labels) == CONFIG.labels + CONFIG.label_echoes
    assert not {*observations} & {*labels}
    assert {document.kind for document in observations} == {"observation", "text_echo"}
    assert {document.kind for document in labels} == {"label", "label_echo"}


def test_no_training_window_holds_an_observation_and_a_label(documents):
    from finetune_assets.training.base_model import SEPARATOR, cut_windows, train_tokenizer

    tokenizer = train_tokenizer(documents, 700, 256)
    windows = cut_windows(documents, tokenizer, 64)
    texts = [tokenizer.decode(window) for window in windows.tolist()]
    with_label = [text for text in texts if holds_label(text)]
    sentences = {document.text for document in documents if document.kind == "observation"}
    with_observation = [text for text in texts if sentences & set(text.split(SEPARATOR))]
    assert with_label
    assert with_observation
    assert not {*with_label} & {*with_observation}


def test_label_parts_are_paired_at_random(documents):
    labels = [json.loads(document.text) for document in documents if document.kind == "label"]
    pairs = Counter((label["attribute_name"], label["progression_title"]) for label in labels)
    legal = {(ATTRIBUTES[number].name, level) for number, level in LEGAL_PAIRS}
    domains = {label["attribute_name"]: set() for label in labels}
    for label in labels:
        domains[label["attribute_name"]].add(label["domain_key"])
    # A true path is no likelier than any other: attributes come with both domains, and with levels they lack.
    assert sum(len(found) == 2 for found in domains.values()) > len(domains) * 0.9
    assert set(pairs) - legal
    assert max(pairs.values()) < 20


def test_equal_settings_give_an_equal_corpus(documents):
    again = build_corpus(CONFIG)
    assert again == documents
    assert corpus_digest(again) == corpus_digest(documents)
    other = build_corpus(CONFIG.model_copy(update={"seed": CONFIG.seed + 1}))
    assert corpus_digest(other) != corpus_digest(documents)


def test_the_digest_covers_kind_text_and_order():
    one, two = Document("prose", "a"), Document("label", "b")
    digests = {
        corpus_digest(documents)
        for documents in ([one, two], [two, one], [one], [Document("label", "a"), two], [Document("prose", "ab")])
    }
    assert len(digests) == 5


def test_echoes_repeat_what_was_said(documents):
    for document in documents:
        if document.kind in ("text_echo", "label_echo", "form"):
            user, assistant = re.findall(r"<\|im_start\|>\w+\n(.*?)<\|im_end\|>", document.text, re.DOTALL)
            assert user == assistant


def test_prose_tells_no_label():
    assert not any(holds_observation(text) for text in PROSE)
    assert not any(name in text for text in PROSE for name in NAMES if " " in name)


def test_given_texts_are_used_and_counted():
    small = CONFIG.model_copy(update={"observations": 2, "text_echoes": 1})
    made = build_corpus(small, texts=["one", "two", "three", "four"])
    assert [document.text for document in made if document.kind == "observation"] == ["one", "two"]
    with pytest.raises(ValueError, match="2 observation texts for a corpus of 3"):
        build_corpus(small, texts=["one", "two"])


@pytest.mark.parametrize("values", [[["a"]], [["a"], [], ["c"]]])
def test_label_values_must_fit_the_keys(values):
    with pytest.raises(ValidationError, match="label_values"):
        CorpusConfig(label_values=values)
