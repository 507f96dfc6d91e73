"""Signing in to the pages and out of them; without scripts, too."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from cyme_supd.domain.sessions import IDLE, LIFE, local_path
from cyme_supd.errors import CymeError, Forbidden, Unauthorized
from cyme_supd.service import Sessions, SignIn
from cyme_supd.service.access import ANYBODY
from cyme_supd.service.acting import acting
from cyme_supd.web import cookies, errors
from cyme_supd.web.admin.rendering import page, render
from cyme_supd.web.guard import Guard, actor_of, check_site

LOGIN = "/admin/login"


def blueprint(guard: Guard, sessions: Sessions) -> Blueprint:
    noun = Blueprint("signing", __name__, url_prefix="/admin")

    def form() -> Response:
        return _form(guard)

    def login() -> AnyResponse:
        try:
            return _signed_in(sessions)
        except CymeError as exc:
            made = _form(guard, exc)
            if not isinstance(exc, Unauthorized):
                # That one's would have the browser ask by itself.
                made.headers.extend(errors.headers_of(exc))
            return made

    def logout() -> AnyResponse:
        if secret := cookies.secret_of(request.environ):
            sessions.end(secret, acting())
        made = redirect(request.script_root + LOGIN, 303, Response)
        cookies.keep(made, request.environ, "")
        return made

    noun.add_url_rule("/login", "form", form, methods=["GET"])
    noun.add_url_rule("/login", "login", login, methods=["POST"])
    noun.add_url_rule("/logout", "logout", logout, methods=["POST"])
    noun.register_error_handler(Unauthorized, _to_login)
    noun.register_error_handler(CymeError, failed)
    noun.app_errorhandler(Unauthorized)(_of_anybody)
    return noun


def failed(error: CymeError) -> AnyResponse:
    """For people, too: it may come before anybody knows who they are."""
    if isinstance(error, Unauthorized) and _is_looking():
        return _to_login(error)
    made = page(render("failed", (), error=error), error.http)
    made.headers.extend(errors.headers_of(error))
    return made


def _of_anybody(error: Unauthorized) -> AnyResponse:
    """Of what is no page's, or of none: programs ask that, and people who mean the pages."""
    is_page = request.path in ("/", "/api/docs") or request.path.startswith("/admin/")
    return _to_login(error) if is_page and _is_looking() else errors.of_ours(error)


def _is_looking() -> bool:
    """Whether it is a person who opens a page, and not one that looks again by itself."""
    is_safe = not cookies.is_change(request.environ)
    return is_safe and cookies.is_by_hand(request.environ) and wants_page()


def wants_page() -> bool:
    """curl and other programs take anything; a browser says that it wants a page."""
    kinds = request.accept_mimetypes
    return "text/html" in kinds.values() and kinds["text/html"] >= kinds["application/json"]


def _to_login(_: Unauthorized) -> AnyResponse:
    query = request.query_string.decode("latin-1")
    wanted = local_path(f"{request.path}?{query}" if query else request.path)
    place = f"{request.script_root}{LOGIN}?{urlencode({'next': wanted})}"
    return redirect(place, 303, Response)


def _form(guard: Guard, error: CymeError | None = None) -> Response:
    # The error may be that the store is away.
    is_open = error is None and guard.is_open(request.environ)
    text = render(
        "login",
        (),
        error=error,
        next=local_path(request.values.get("next")),
        name=request.form.get("name", "")[:128],
        is_open=is_open,
        is_nobody=error is None and guard.is_nobody(),
        is_safe=cookies.cookie_name(request.environ) is not None,
        hours=LIFE // timedelta(hours=1),
        idle_hours=IDLE // timedelta(hours=1),
    )
    return page(text, error.http if error is not None else 200)


def _signed_in(sessions: Sessions) -> AnyResponse:
    environ = request.environ
    _check_form_is_ours()
    sent = request.form
    given = SignIn(
        sent.get("name", ""),
        sent.get("password", ""),
        sent.get("token", "").strip(),
        cookies.secret_of(environ),
    )
    secret = sessions.begin(given, actor_of(environ, ANYBODY))
    made = redirect(request.script_root + local_path(sent.get("next")), 303, Response)
    cookies.keep(made, environ, secret)
    return made


def _check_form_is_ours() -> None:
    """Nobody is to be signed in by another site, as whoever that likes.

    There is no session yet that a token could be of: a browser has to say whose form it is.
    """
    environ = request.environ
    origin = environ.get("HTTP_ORIGIN")
    if origin is None and "HTTP_SEC_FETCH_SITE" not in environ:
        raise Forbidden("a browser says which site a form is of, and this did not", "")
    check_site(environ, origin)
    if cookies.cookie_name(environ) is None:
        raise Forbidden(
            "signing in needs https, or a browser on the branch's own host",
            "name the proxy that has TLS with --trusted-proxy",
        )
