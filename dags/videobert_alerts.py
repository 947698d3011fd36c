"""Who is told when a run fails, recovers, is late or waits for a person. Airflow's own notifiers send it.

Nobody is, until these are set:

VIDEOBERT_ALERT_EMAIL     addresses, separated by commas; sent by the connection `smtp_default`
VIDEOBERT_ALERT_WEBHOOK   id of an HTTP connection that takes a POST of JSON, such as the incoming webhook of a chat
VIDEOBERT_LATE_HOURS      when a run is late, in hours since it was queued, such as `ingest=6,embed=2,train=48`
VIDEOBERT_APPROVAL        `yes`: a person approves a model between its gates and its promotion
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from airflow.sdk import Variable
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from videobert.errors import InputError

__all__ = ["alerts", "approval", "tell_failed", "tell_recovered"]

_SHORT = {"ingest": "videobert_ingest", "embed": "videobert_embed", "train": "videobert_train"}

# Values go through the notifiers' templates, as values: none of them is read as a template or as HTML.
_TITLE = "{{ alert.title }}"
_HTML = "<p>{{ alert.title | e }}</p><p>{{ alert.reason | e }}</p><p><a href='{{ alert.url | e }}'>the run</a></p>"
_LATE_RUN = "{{ dag_run.dag_id }} {{ dag_run.partition_key or '' }}"
_WAITS = "{{ dag.dag_id }}: a model waits for an approval"


def alerts(dag_id: str) -> dict[str, Any]:
    """Arguments of a DAG. Raises InputError for a setting that cannot be read."""
    hours = _late_hours().get(dag_id)
    if not _email() and not _webhook():
        if hours:
            raise InputError(
                "VIDEOBERT_LATE_HOURS is set, and nobody is told; set VIDEOBERT_ALERT_EMAIL or VIDEOBERT_ALERT_WEBHOOK"
            )
        return {}
    found: dict[str, Any] = {"on_failure_callback": tell_failed, "on_success_callback": tell_recovered}
    if hours:
        found["deadline"] = _deadlines(hours)
    return found


def tell_failed(context: Mapping[str, Any]) -> None:
    """A run has failed: remember it, and tell."""
    Variable.set(_key(context), str(context["run_id"]), description="A run that failed; gone once one succeeds.")
    _tell(context, "failed", str(context.get("reason") or ""))


def tell_recovered(context: Mapping[str, Any]) -> None:
    """A run has succeeded: tell, if the last one of the same batch had failed."""
    former = Variable.get(_key(context), default=None)
    if former is not None:
        _tell(context, "has recovered", f"{former} had failed.")
        Variable.delete(_key(context))


def approval(model_spec: str) -> list[Any]:
    """The task that waits for a person, or none."""
    wanted = os.environ.get("VIDEOBERT_APPROVAL", "no")
    if wanted not in ("yes", "no"):
        raise InputError(f"VIDEOBERT_APPROVAL is {wanted!r}; set it to yes or no")
    if wanted == "no":
        return []
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    report = "{{ ti.xcom_pull(task_ids='evaluate')['outputs'][0] | replace('_manifest.json', 'report.html') }}"
    approve = ApprovalOperator(
        task_id="approve",
        subject=f"Shall readers turn to {model_spec}?",
        body=f"Its gates hold. Report: {report}\n\nReject ends the run here: readers keep the model that they have.",
        notifiers=_notifiers(_WAITS, f"<p>{_WAITS}</p>"),
    )
    approve.doc_md = "**approve**: wait for a person under *Required Actions*. Reject skips what follows."
    return [approve]


def _deadlines(hours: float) -> list[DeadlineAlert]:
    """From the moment of queueing: a run of a partition has no logical date."""
    title = f"{_LATE_RUN} is late: not done {hours:g} hours after it was queued"
    url = f"{_base_url()}/dags/{{{{ dag_run.dag_id }}}}/runs/{{{{ dag_run.dag_run_id | urlencode }}}}"
    html = f"<p>{title.replace(' }}', ' | e }}')}</p><p>{url}</p>"
    callbacks = [AsyncCallback(kind, kwargs=kwargs) for kind, kwargs in _channels(title, html, url)]
    return [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(hours=hours),
            callback=callback,
            name="late",
        )
        for callback in callbacks
    ]


def _tell(context: Mapping[str, Any], what: str, reason: str) -> None:
    dag_id, run_id, batch = context["dag"].dag_id, str(context["run_id"]), _batch(context)
    title = f"{dag_id} {batch}".rstrip() + f" {what}"
    alert = {
        "title": "".join(letter if letter.isprintable() else " " for letter in title),
        "reason": reason,
        "url": f"{_base_url()}/dags/{dag_id}/runs/{quote(run_id, safe='')}",
    }
    for notifier in _notifiers(_TITLE, _HTML, "{{ alert.url }}"):
        notifier(dict(context) | {"alert": alert})


def _notifiers(title: str, html: str, url: str = "") -> list[Any]:
    return [kind(**kwargs) for kind, kwargs in _channels(title, html, url)]


def _channels(title: str, html: str, url: str) -> list[tuple[Any, dict[str, Any]]]:
    """Notifier and its arguments, for each channel that is set. Imported only then: every parse would pay for it."""
    found: list[tuple[Any, dict[str, Any]]] = []
    if _email():
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        found.append((SmtpNotifier, {"to": _email(), "subject": title, "html_content": html}))
    if _webhook():
        from airflow.providers.http.notifications.http import HttpNotifier

        body = {"text": f"{title} {url}".strip()}
        found.append((HttpNotifier, {"http_conn_id": _webhook(), "json": body}))
    return found


def _email() -> list[str]:
    return [part.strip() for part in os.environ.get("VIDEOBERT_ALERT_EMAIL", "").split(",") if part.strip()]


def _webhook() -> str:
    return os.environ.get("VIDEOBERT_ALERT_WEBHOOK", "").strip()


def _late_hours() -> dict[str, float]:
    """DAG -> hours. Raises InputError."""
    value = os.environ.get("VIDEOBERT_LATE_HOURS", "")
    found = {}
    for part in filter(None, value.split(",")):
        name, _, hours = part.strip().partition("=")
        try:
            found[_SHORT[name]] = float(hours)
        except (KeyError, ValueError) as error:
            raise InputError(
                f"VIDEOBERT_LATE_HOURS is {value!r}; write it as ingest=6,embed=2,train=48, in hours"
            ) from error
    return found


def _batch(context: Mapping[str, Any]) -> str:
    run = context.get("dag_run")
    return str(getattr(run, "partition_key", None) or (getattr(run, "conf", None) or {}).get("batch") or "")


def _key(context: Mapping[str, Any]) -> str:
    """Of the Variable that remembers a failure: a name of letters that no batch can stretch or break."""
    digest = hashlib.sha256(_batch(context).encode()).hexdigest()[:16]
    return f"videobert_failed.{context['dag'].dag_id}.{digest}"


def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")
