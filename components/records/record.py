"""Read a governance record's bytes: of this schema, of an older one and migrated, or refused with the reason."""

from __future__ import annotations

import json

from pydantic import ValidationError

from components.common.errors import InputError
from schemas.governance import GovernanceReport
from schemas.published import NewerSchemaError, migrated

_AGAIN = "explain the version again with this release of calig"


def read_record(content: bytes, where: object) -> GovernanceReport:
    """The record in `content`; `where` it was found goes into errors.

    Raises:
        InputError: no record, one of a newer schema, or fields that do not fit.
    """
    try:
        raw = json.loads(content)
        record = migrated(raw)
        return GovernanceReport.model_validate_json(content if record is raw else json.dumps(record))
    except NewerSchemaError as error:
        raise InputError(
            "the record is of a newer schema than this release can read",
            got=f"{where}: {error}",
            next_step="update calig, then run again",
        ) from error
    except ValidationError as error:
        fields = f"the record cannot be read: {error.error_count()} fields do not fit this release's schema"
        raise InputError(fields, got=f"{where}: {_first(error)}", next_step=_AGAIN) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # not JSON, or JSON of another shape
        raise InputError("the record cannot be read", got=f"{where}: {error}", next_step=_AGAIN) from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
