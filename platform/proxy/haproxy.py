"""The configuration for HAProxy: https://docs.haproxy.org/2.6/configuration.html, sections 4 and 5."""

import re

from .facts import Facts


def haproxy_configuration(facts: Facts) -> str:
    """The whole file, to be started with `haproxy -W -f FILE`; 2.6 or newer."""
    return _TEMPLATE.format(
        facts=facts,
        servers="\n".join(f"    server web{index} {facts.address(port)}" for index, port in enumerate(facts.workers)),
        https=_bind(facts, facts.https_port),
        http=_bind(facts, facts.http_port),
        pattern=re.escape(facts.base_domain),
    )


def _bind(facts: Facts, port: int) -> str:
    listeners = facts.listeners(port)
    return ",".join(listeners) + (" v6only" if len(listeners) > 1 else "")


_TEMPLATE = """\
# Written by `strongroom proxy config haproxy`: do not edit, write it again.
# Start: haproxy -W -f FILE    After certificates were renewed (every two months): kill -USR2 its first process
global
    log stderr format raw local0 notice
    user {facts.account}
    group {facts.group}
    ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
    ssl-default-server-options ssl-min-ver TLSv1.3

defaults
    mode http
    log global
    option dontlognull
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout client 30s
    timeout connect 2s
    timeout queue 5s
    timeout server 60s
    timeout check 2s

frontend https
    bind {https} ssl crt "{facts.server}" alpn h2,http/1.1
    http-request deny deny_status 413 if {{ req.body_size gt {facts.upload_limit} }}
    # A web process reads “_” in a header's name like “-”.
    http-request del-header _ -m sub
    # Set, not added to: what the caller claims is dropped.
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    http-request del-header Forwarded
    http-request disable-l7-retry unless {{ method GET HEAD OPTIONS }}
    # The portal sends this header itself; what HAProxy answers on its own must have it, too.
    acl has_hsts res.hdr(strict-transport-security) -m found
    http-after-response set-header Strict-Transport-Security "{facts.hsts}" unless has_hsts
    default_backend strongroom

# The host name decides: a workspace's connections to its database exist in one web process only.
backend strongroom
    balance hash req.hdr(host),host_only,lower
    hash-type consistent sdbm avalanche
    # A web process that is down costs a connect: another one serves its workspaces meanwhile.
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
    default-server ssl crt "{facts.client}" ca-file "{facts.authority}"
    default-server verify required verifyhost {facts.base_domain} sni str({facts.base_domain})
    default-server check check-sni {facts.base_domain} inter 1s fall 1 rise 1 pool-purge-delay 15s
{servers}

frontend http
    bind {http}
    acl is_ours req.hdr(host),host_only,lower -m reg ^(([a-z0-9-]+\\.)*{pattern}|127\\.0\\.0\\.1)$
    http-request deny deny_status 400 unless is_ours
    http-request deny deny_status 400 if {{ path,url_dec -m reg (^|/)\\.\\.?(/|$) }}
    # A client of the API has sent its token in the clear already: a redirect would hide the mistake.
    http-request deny deny_status 403 if {{ path,url_dec,lower -m reg ^/+api(/|$) }}
    http-request redirect code 308 location https://%[req.hdr(host),host_only]{facts.site_port}%[pathq]
"""
