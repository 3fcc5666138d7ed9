"""Names of secrets in any spelling are recognised, and what is named like them is written down nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qstore_core.cli.job import _plain
from qstore_core.config import TrainingConfig
from qstore_core.errors import ConfigurationError
from qstore_core.secret_names import is_secret

SECRET = """
    api_key apiKey ApiKey APIKey API_KEY api-key X-API-Key apikey APIKEY api_key_2 api_keys pinecone_api_key key KEY
    accessKey aws_secret_access_key private_key privateKey private-key-pem sshkey account_key access_key_id signing_key
    APIkey myAPIkey master_key_2 SECRETKEY
    token Token TOKEN authToken auth_token access-token accesstoken bearer_token token2 refresh_tokens tokens
    token_value secret client_secret clientSecret CLIENTSECRET secret_key secretkey secret_id secrets my.secret
    password Password db_password dbpassword passwd userPasswd pwd passphrase key_passphrase
    credential credentials aws-credentials userCredentials Authorization proxy_authorization
""".split()
HARMLESS = """
    key_columns keyless keyword keywords monkey primary_key partitionKey sort_key public_key key_prefix keyspace
    tokenizer tokenize max_tokens maxTokens tokens_per_minute token_limit token_type secretary passes n_passes bypass
    index_name environment cloud dimension host timeout author authority compass api_key_env password_file secret_name
    accesskey_path authorization_url token_uri tokenEndpoint authorization_scheme credentials_url
""".split()


@pytest.mark.parametrize("name", SECRET)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_names(name: str) -> None:
    assert not is_secret(name)


OPTIONS: list[dict[str, Any]] = [
    {"api_key": "hush"},
    {"apiKey": "hush"},
    {"API_KEY": "hush"},
    {"client-secret": "hush"},
    {"auth": {"api_key": "hush"}},
    {"pool": [{"name": "a"}, {"login": {"Password": "hush"}}]},
    {"key": "hush"},
    {"schema": {"key": {"api_key": "hush"}}},
    {"use_credentials": False, "token": "hush"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("store", [{"store": "sqlite", "store_path": "a"}, {}], ids=["store", "no store"])
def test_options_of_a_store_hold_none(options: dict[str, Any], store: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="holds no keys: use pinecone_api_key, or the env") as refused:
        TrainingConfig(**store, store_options=options)
    assert "hush" not in str(refused.value)


def test_options_that_are_no_json_are_not_shown_either() -> None:
    with pytest.raises(ConfigurationError, match=r"store_options=\.\.\.\): must be a dict of JSON") as refused:
        TrainingConfig(store="sqlite", store_path="a", store_options={"auth": {"token": b"hush"}})
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"key_columns": ["a"], "tokenizer": "x", "auth": {"user": "me"}},
        {"use_credentials": False, "auth": {"token": None}, "password": True},
        {"fields": [{"key": "run"}]},
        {"schema": {"key": "text"}},
        {"authorization_url": "https://x"},
    ],
    ids=str,
)
def test_harmless_options_of_a_store_are_taken(options: dict[str, Any]) -> None:
    config = TrainingConfig(store="sqlite", store_path="a", store_options=options)
    assert config.to_dict()["store_options"] == options


@pytest.mark.parametrize("name", ["options", "store_options"])
def test_the_command_lines_record_leaves_them_out(name: str) -> None:
    given = (("apiKey", "hush"), ("auth", {"TOKEN": "hush"}), ("key", "hush"), ("keyless", True), ("url", "x"))
    arguments = {"options": (), "store_options": (), "data": Path("a.csv"), name: given}
    written = _plain(arguments)
    assert "hush" not in json.dumps(written)
    assert written[name] == [["keyless", True], ["url", "x"]]
