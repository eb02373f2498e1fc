"""Who may see the page: whoever has the secret of its address, through a browser of this machine."""

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as Redirect

_HOSTS = frozenset({"127.0.0.1", "localhost"})


def guard(server: Flask, token: str, inline_scripts: Sequence[str]) -> None:
    """Answer those alone who have come by an address with ``token``, and have the page load nothing from elsewhere.

    Other users of this machine reach its ports as well; and a page elsewhere may have its own name resolve to this
    machine, to read what its visitors can.

    Args:
        server: what is guarded.
        token: the secret.
        inline_scripts: digests of the scripts within the page, as a Content-Security-Policy has them.
    """
    # Cookies are the same for all ports: another page of this machine has another token.
    cookie = f"git10m-{hashlib.sha256(token.encode()).hexdigest()[:16]}"
    policy = (
        "default-src 'none'; connect-src 'self'; font-src 'self' data:; img-src 'self' data:; "
        f"script-src 'self' {' '.join(inline_scripts)}; style-src 'self' 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    def admit() -> Redirect | None:
        if urlsplit(f"//{request.host}").hostname not in _HOSTS:
            abort(403, "This page is for a browser of its own machine.")
        if hmac.compare_digest(request.cookies.get(cookie, ""), token):
            return None
        if not hmac.compare_digest(request.args.get("token", ""), token):
            abort(403, "Open the address that git10m browse has printed, with its token.")
        answer = redirect(request.path)
        answer.set_cookie(cookie, token, httponly=True, samesite="Strict")
        return answer

    def seal(answer: Response) -> Response:
        answer.headers["Content-Security-Policy"] = policy
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    server.before_request(admit)
    server.after_request(seal)
