"""Secrets: keys, tokens and passwords in rows, by the detectors of detect-secrets. Nothing is sent anywhere."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from finetune_assets.datasets.quality.config import SecretsConfig
from finetune_assets.datasets.quality.finding import QualityFinding
from finetune_assets.datasets.quality.pii import scan

# The detectors of secrets with a form of their own. Left out: high entropy and keywords, which take digests and
# `password = getPassword()` for secrets, and Artifactory, whose pattern fits plain words in capitals.
_PLUGINS = (
    ("aws", "AWSKeyDetector"),
    ("azure_storage_key", "AzureStorageKeyDetector"),
    ("basic_auth", "BasicAuthDetector"),
    ("cloudant", "CloudantDetector"),
    ("discord", "DiscordBotTokenDetector"),
    ("github_token", "GitHubTokenDetector"),
    ("gitlab_token", "GitLabTokenDetector"),
    ("ibm_cloud_iam", "IbmCloudIamDetector"),
    ("ibm_cos_hmac", "IbmCosHmacDetector"),
    ("jwt", "JwtTokenDetector"),
    ("mailchimp", "MailchimpDetector"),
    ("npm", "NpmDetector"),
    ("openai", "OpenAIDetector"),
    ("private_key", "PrivateKeyDetector"),
    ("pypi_token", "PypiTokenDetector"),
    ("sendgrid", "SendGridDetector"),
    ("slack", "SlackDetector"),
    ("softlayer", "SoftlayerDetector"),
    ("square_oauth", "SquareOAuthDetector"),
    ("stripe", "StripeDetector"),
    ("telegram_token", "TelegramBotTokenDetector"),
    ("twilio", "TwilioKeyDetector"),
)
# What every secret of these forms has: one long word, a password within an address, or a key's header. Most lines have
# none, and need not be shown to 22 detectors.
_CANDIDATE = re.compile(r"[\w+/=.-]{16}|://\S+@|-----BEGIN")


@cache
def _detectors() -> tuple[Any, ...]:
    return tuple(
        getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)() for module, name in _PLUGINS
    )


def secrets_in(text: str) -> dict[str, int]:
    """Return the secrets in a text, as their number by kind, for instance `{"AWS Access Key": 1}`.

    Args:
        text: any text, of any length; each line is looked at by itself.
    """
    found: dict[str, int] = {}
    for line in text.splitlines():
        if not _CANDIDATE.search(line):
            continue
        for detector in _detectors():
            count = sum(1 for _ in detector.analyze_string(line))
            if count:
                found[detector.secret_type] = found.get(detector.secret_type, 0) + count
    return found


def secrets(folder: Path, config: SecretsConfig) -> QualityFinding:
    """Find rows that hold a secret, in input or target.

    Args:
        folder: the split dataset.
        config: the limit.

    Returns:
        The rows with the kinds and fields; never the secret.

    Raises:
        OSError: when the file cannot be read.
    """
    return scan(folder, secrets_in, config.max_rows, "secrets")
