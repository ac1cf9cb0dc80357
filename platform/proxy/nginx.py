"""The configuration for nginx: https://nginx.org/en/docs/http/ngx_http_upstream_module.html#hash and around it."""

from .facts import Facts


def nginx_configuration(facts: Facts) -> str:
    """The whole file, to be started with `nginx -c FILE`; 1.21 or newer."""
    return _TEMPLATE.format(
        user=f"user {facts.user};  # without effect unless root starts it\n" if facts.user else "",
        run=facts.run_dir,
        log=facts.log_dir,
        servers="\n".join(
            f"        server {facts.address(port)} max_fails=1 fail_timeout=2s;" for port in facts.workers
        ),
        https=facts.address(facts.https_port),
        http=facts.address(facts.http_port),
        site_port=facts.site_port,
        base_domain=facts.base_domain,
        server=facts.server,
        client=facts.client,
        authority=facts.authority,
        limit=facts.upload_limit,
        hsts=facts.hsts,
    )


_TEMPLATE = """\
# Written by `strongroom proxy config nginx`: do not edit, write it again.
# Start: nginx -c FILE    After certificates were renewed (every two months): nginx -c FILE -s reload
{user}worker_processes auto;
pid "{run}/nginx.pid";
error_log "{log}/nginx.log" warn;

events {{
    worker_connections 4096;
}}

http {{
    access_log off;
    server_tokens off;

    # Customers' files must never lie on a disk unsealed: whatever passes is kept in memory, or not at all.
    client_max_body_size {limit};
    client_body_buffer_size {limit};
    proxy_max_temp_file_size 0;
    client_body_temp_path "{run}/nginx-body";
    proxy_temp_path "{run}/nginx-proxy";
    fastcgi_temp_path "{run}/nginx-fastcgi";
    uwsgi_temp_path "{run}/nginx-uwsgi";
    scgi_temp_path "{run}/nginx-scgi";

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
        "" "{hsts}";
        default "";
    }}

    server {{
        listen {https} ssl http2 default_server;
        ssl_certificate "{server}";
        ssl_certificate_key "{server}";
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
            proxy_ssl_certificate "{client}";
            proxy_ssl_certificate_key "{client}";
            proxy_ssl_trusted_certificate "{authority}";
            proxy_ssl_verify on;
            proxy_ssl_server_name on;
            proxy_ssl_name {base_domain};

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
        listen {http} default_server;
        return 400 "This host name is not served here.\\n";
    }}

    server {{
        listen {http};
        server_name {base_domain} *.{base_domain} 127.0.0.1;
        location / {{
            return 308 https://$host{site_port}$request_uri;
        }}
        # A client of the API has sent its token in the clear already: a redirect would hide the mistake.
        location ~* ^/api(/|$) {{
            return 403 "The API answers over HTTPS only. Replace any token that was sent here.\\n";
        }}
    }}
}}
"""
