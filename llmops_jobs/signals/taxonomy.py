"""Which class of error a message is: rules over text, most specific first.

The classes say who can do something about it: the caller (`bad_request`, `context_length`,
`auth`), the provider (`rate_limit`, `provider_5xx`, `timeout`, `connection`, `content_filter`),
the application (`tool_error`, `schema_invalid`, `cancelled`), or nobody yet (`unknown`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# A message is hostile text of any length: the head of it decides.
_READ: Final = 2_000

# HTTP statuses count only where a message gives them as a status: "Limit 500" is none.
_STATUS: Final = re.compile(
    r"(?:^|\bhttp(?:/\d(?:\.\d)?)?[ :]+|\bcode:? |\bcode'?\"?: ?'?\"?|\bstatus(?:_code)?[ :=]+"
    r"|\b(?:client|server) error '|error: |<title>|\| )(?P<status>[45]\d\d)\b"
)

# One pattern a line, over lower-case text; the first class that has a match wins.
_PATTERNS: Final = {
    "cancelled": r"""
        cancell?ederror
        \baborterror\b
        generatorexit
        \bcancelled\b[. ]
        (?:request|operation|stream|call|run) (?:was )?(?:cancell?ed|aborted)\b
        (?:aborted|cancell?ed|closed) by (?:the )?(?:client|user|caller|consumer)
        client (?:has )?disconnected
    """,
    "tool_error": r"""
        \btool ?(?:call(?:ing)?|execution|invocation|run|exception|error)\b
        toolexception
        toolexecution
        toolerror
        toolcallerror
        \bmcp ?error
        mcperror
        (?:execut|invok|runn|call)ing (?:the )?tool\b
        \bin tool run\b
        not a valid tool
        unknown tool
        tool not found
        no such tool
        \bfunction call failed
        \btool \S+ (?:raised|failed|encountered|returned an error)
    """,
    "content_filter": r"""
        content[ _-]?(?:filter|management|moderation|policy|safety)
        safety system
        guardrail
        responsibleai
        prohibited_content
        block_?reason
        blockedprompt
        finish[_ ]?reason:?(?: is)? (?:safety|recitation|blocklist|spii|content)
        blocked (?:by|due to) (?:safety|moderation|policy|content)
        response was blocked
        usage polic(?:y|ies)
        \bflagged\b
        safety check
    """,
    "context_length": r"""
        context[_ ](?:length|window|limit|size)
        (?:prompt|input|request|message) is too long
        input token count
        maximum model length
        maximum number of tokens
        reduce (?:the length|your prompt)
        too large for model
        request_too_large
        too many (?:input|prompt) tokens
        string_above_max_length
        input too long
        \bcode:? 413\b
    """,
    "rate_limit": r"""
        rate.?limit
        too many (?:requests|tokens)
        throttl
        resource.?(?:has been )?exhausted
        quota
        tokens per (?:min|day)
        requests per (?:min|day)
        slow down
        toomanyrequests
    """,
    "schema_invalid": r"""
        outputpars
        output pars
        (?:could not|failed to|unable to|cannot) parse
        invalid json
        \d+ validation errors? for\b
        jsondecode
        expecting (?:value|property|'|\")
        unterminated string
        zoderror
        type ?validation(?:error| failed)
        noobjectgenerated
        (?:match|conform|adhere|according).{0,20} schema
        jsonschema
        instructorretry
        incompleteoutput
        in json at position
        is not one of
        not valid json
        malformed json
    """,
    "timeout": r"""
        time.?out
        timed.?out
        deadline
        time.?limit
    """,
    "auth": r"""
        api[ _-]?key
        unauthori[sz]ed
        unauthenticated
        authenticat
        permission
        forbidden
        access ?denied
        credential
        security token
        expiredtoken
        invalid token
        credit balance
        (?:does not|doesn't|don't) have access
        subscription key
        billing
    """,
    "connection": r"""
        connection (?:error|aborted|refused|reset|closed|lost)
        connect(?:ion)?error
        econn
        (?:cannot|could not|failed to|unable to) (?:connect|establish)
        name resolution
        name or service not known
        getaddrinfo
        disconnected
        peer closed
        unreachable
        certificate
        sslerror
        payload is not completed
        incomplete (?:chunked )?read
        readerror
        writeerror
        protocolerror
        broken pipe
        socket hang up
        fetch failed
    """,
    "provider_5xx": r"""
        overload
        internal ?server
        internal error
        an internal error
        server_error
        api_error
        service.?unavailable
        \bunavailable\b
        bad gateway
        had an error (?:while )?process
        unexpected error (?:during|while) processing
        (?:is )?not ready
        modelerror
        web server is
        server had an error
        upstream error
        capacity
    """,
    "unknown": r"""
        ^(?:type|attribute|key|index|name|zerodivision|assertion|recursion)error\b
    """,
    "bad_request": r"""
        invalid[ _](?:request|argument|value|parameter|schema|type|input|url|prompt|model)
        bad.?request
        (?:model|deployment|resource|endpoint)\S* (?:was |is )?not found
        not[ _]?found_?error
        \bnot found for\b
        notfoundexception
        deploymentnotfound
        unsupported (?:parameter|value|model|media|content|country)
        not supported
        does not support
        unrecognized request
        must (?:be|alternate|have|contain|start|end|match)
        malformed
        does not exist
        validationexception
        deprecated
        unprocessable
        is required
        model identifier is invalid
        input should be
        provider not provided
    """,
}
_RULES: Final = tuple(
    (name, re.compile("|".join(line.strip() for line in lines.strip().splitlines())))
    for name, lines in _PATTERNS.items()
)

#: Every class that `error_type` can return but ''.
ERROR_TYPES: Final = (*(name for name, _ in _RULES if name != "unknown"), "unknown")

_BY_STATUS: Final = {
    "401": "auth",
    "403": "auth",
    "408": "timeout",
    "413": "context_length",
    "429": "rate_limit",
    "499": "cancelled",
    "504": "timeout",
    "524": "timeout",
}
_BY_FINISH: Final = {
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_function_call": "schema_invalid",
}
# A status that says all there is to say; 400 and 500 leave it to the text.
_DECISIVE: Final = {"429", "401", "504", "524", "499"}


@lru_cache(maxsize=65_536)
def error_type(status_message: str, finish_reason: str = "") -> str:
    """The class of a failed call's message; `unknown` where no rule knows it."""
    text = status_message[:_READ].lower()
    found = _STATUS.search(text)
    status = found["status"] if found else ""
    if status in _DECISIVE:
        return _BY_STATUS[status]
    for name, rule in _RULES:
        if rule.search(text):
            return name
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status:
        return "provider_5xx" if status.startswith("5") else "bad_request"
    return _BY_FINISH.get(finish_reason.lower(), "unknown")
