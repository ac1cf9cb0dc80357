"""The configuration for nginx: https://nginx.org/en/docs/http/ngx_http_upstream_module.html#hash and around it."""

from .facts import Facts


def nginx_configuration(facts: Facts) -> str:
    """The whole file, to be started with `nginx -c FILE`; 1.21 or newer."""
    return _TEMPLATE.format(
        facts=facts,
        user=f"{facts.account} {facts.group}" if facts.for_root else _NOT_FOR_ROOT,
        state=facts.state_dir / f"strongroom-nginx-{facts.https_port}",
        servers="\n".join(
            f"        server {facts.address(port)} max_fails=1 fail_timeout=2s;" for port in facts.workers
        ),
        https=_listen(facts, facts.https_port, " ssl http2 default_server"),
        http_default=_listen(facts, facts.http_port, " default_server"),
        http=_listen(facts, facts.http_port),
    )


def _listen(facts: Facts, port: int, options: str = "") -> str:
    return "\n        ".join(f"listen {address}{options};" for address in facts.listeners(port))


# No account has this name. Whoever is not root passes over it; for root nginx ends with it before it opens a file.
_NOT_FOR_ROOT = "write-this-file-again-as-root"

_TEMPLATE = """\
# Written by `strongroom proxy config nginx`: do not edit, write it again.
# Start: nginx -c FILE    After certificates were renewed (every two months): nginx -c FILE -s reload
user {user};
worker_processes auto;
# What root opens or gives away must not lie where another account could put a link.
pid "{state}.pid";
error_log stderr warn;

events {{
    worker_connections 4096;
}}

http {{
    access_log off;
    server_tokens off;

    # Customers' files must never lie on a disk unsealed: whatever passes is kept in memory, or not at all.
    client_max_body_size {facts.upload_limit};
    client_body_buffer_size {facts.upload_limit};
    proxy_max_temp_file_size 0;
    client_body_temp_path "{state}";
    proxy_temp_path "{state}";
    fastcgi_temp_path "{state}";
    uwsgi_temp_path "{state}";
    scgi_temp_path "{state}";

    client_header_timeout 10s;
    client_body_timeout 30s;
    send_timeout 30s;
    keepalive_timeout 60s;

    # The host name decides: a workspace's connections to its database exist in one web process only.
    upstream strongroom {{
        zone strongroom 128k;
        hash $host consistent;
{servers}
        keepalive 16;
        keepalive_timeout 15s;
    }}

    # The portal sends this header itself; what nginx answers on its own must have it, too.
    map $upstream_http_strict_transport_security $missing_hsts {{
        "" "{facts.hsts}";
        default "";
    }}

    server {{
        {https}
        ssl_certificate "{facts.server}";
        ssl_certificate_key "{facts.server}";
        ssl_protocols TLSv1.3;
        add_header Strict-Transport-Security $missing_hsts always;

        location / {{
            proxy_pass https://strongroom;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            # Set, not added to: what the caller claims is dropped.
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header Forwarded "";

            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_certificate "{facts.client}";
            proxy_ssl_certificate_key "{facts.client}";
            proxy_ssl_trusted_certificate "{facts.authority}";
            proxy_ssl_verify on;
            proxy_ssl_server_name on;
            proxy_ssl_name {facts.base_domain};

            # A web process that is down costs a connect: the next one serves its workspaces meanwhile.
            proxy_connect_timeout 2s;
            proxy_read_timeout 60s;
            proxy_send_timeout 30s;
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries 3;
            proxy_next_upstream_timeout 10s;
        }}
    }}

    server {{
        {http_default}
        return 400 "This host name is not served here.\\n";
    }}

    server {{
        {http}
        server_name {facts.base_domain} *.{facts.base_domain} 127.0.0.1;
        location / {{
            return 308 https://$host{facts.site_port}$request_uri;
        }}
        # A client of the API has sent its token in the clear already: a redirect would hide the mistake.
        location ~* ^/api(/|$) {{
            return 403 "The API answers over HTTPS only. Replace any token that was sent here.\\n";
        }}
    }}
}}
"""
