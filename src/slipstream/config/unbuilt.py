"""What nats-server knows and this server does not do yet. Such keys and flags are refused by name:
a setting that is accepted and ignored would let somebody believe in a protection or a limit that is
not there.
"""

from __future__ import annotations

from collections.abc import Mapping

from slipstream.config.options import (
    Authorization,
    FeatureFlags,
    JetStream,
    JetStreamLimits,
    Options,
    User,
)

_ALONE = "this server runs alone"
_PLAIN = "this server speaks plain TCP"
_ONE_ACCOUNT = 'every user belongs to the account "$G"'
_NO_PERMISSIONS = "every user may publish and subscribe to everything"
_PASSWORDS = "users log in with a token or a password"
_OWN_LIMIT = "this server has limits of its own in its place"

UNBUILT: Mapping[type, Mapping[str, str]] = {
    Options: {
        **dict.fromkeys(
            ("cluster", "gateway", "leaf", "leafnodes", "connect_error_reports"), _ALONE
        ),
        **dict.fromkeys(("reconnect_error_reports", "default_js_domain"), _ALONE),
        **dict.fromkeys(
            ("tls", "allow_non_tls", "ocsp", "ocsp_cache", "https", "https_port"), _PLAIN
        ),
        **dict.fromkeys(("websocket", "ws", "mqtt", "proxy_protocol", "proxies"), _PLAIN),
        **dict.fromkeys(("accounts", "mappings", "maps"), _ONE_ACCOUNT),
        **dict.fromkeys(("system_account", "system"), _ONE_ACCOUNT),
        **dict.fromkeys(("no_system_account", "no_system", "no_sys_acc"), _ONE_ACCOUNT),
        **dict.fromkeys(("operator", "operators", "root", "roots"), _PASSWORDS),
        **dict.fromkeys(("root_operator", "root_operators"), _PASSWORDS),
        **dict.fromkeys(("resolver", "account_resolver", "accounts_resolver"), _PASSWORDS),
        **dict.fromkeys(
            ("resolver_tls", "resolver_preload", "resolver_pinned_accounts"), _PASSWORDS
        ),
        **dict.fromkeys(("trusted", "trusted_keys", "default_sentinel"), _PASSWORDS),
        **dict.fromkeys(("syslog", "remote_syslog"), "logs go to stderr or to a file"),
        **dict.fromkeys(("prof_port", "prof_block_rate"), "there is no profiling port"),
        "trace_headers": "a trace shows whole messages",
        **dict.fromkeys(
            ("max_sub_tokens", "max_subscription_tokens"), "subjects have no such limit"
        ),
        **dict.fromkeys(("disable_sublist_cache", "no_sublist_cache"), _OWN_LIMIT),
        "no_fast_producer_stall": _OWN_LIMIT,
        "write_timeout": "a client that misses write_deadline is disconnected",
    },
    Authorization: {
        **dict.fromkeys(
            ("permissions", "default_permission", "default_permissions"), _NO_PERMISSIONS
        ),
        **dict.fromkeys(("auth_callout", "auth_hook"), _PASSWORDS),
        "proxy_required": _PLAIN,
    },
    User: {
        **dict.fromkeys(("permission", "permissions", "authorization"), _NO_PERMISSIONS),
        "nkey": _PASSWORDS,
        "proxy_required": _PLAIN,
    },
    JetStream: {
        **dict.fromkeys(("extension_hint", "unique_tag", "max_outstanding_catchup"), _ALONE),
        **dict.fromkeys(("meta_compact", "meta_compact_size", "meta_compact_sync"), _ALONE),
        "tpm": "the key of an encrypted store is in the configuration",
        **dict.fromkeys(
            ("max_buffered_size", "max_buffered_msgs"),
            "100,000 messages or 128 MiB of a stream may be in flight",
        ),
        "max_concurrent_io": _OWN_LIMIT,
    },
    FeatureFlags: {
        **dict.fromkeys(("js_raft_delete_range", "js_snapshot_sources"), _ALONE),
        "js_api_reply_v2": "answers of the JetStream API have one form",
    },
    JetStreamLimits: {
        "max_ha_assets": _ALONE,
    },
}
"""Reasons by block and key."""


def sentence(name: str, reason: str) -> str:
    return f'"{name}" is not supported yet: {reason}'
