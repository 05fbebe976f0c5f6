"""Strings that traces have carried, or could: markup, scripts, terminal and spreadsheet tricks."""

from __future__ import annotations

XSS = (
    "<script>window.hit=1</script>",
    "</style><script>window.hit=2</script>",
    "</title><img src=x onerror=window.hit=3>",
    '"><svg/onload=window.hit=4>',
    "'><iframe srcdoc='<script>parent.hit=5</script>'>",
    "<a href=javascript:window.hit=6>click</a>",
    "javascript:window.hit=7",
    "data:text/html,<script>window.hit=8</script>",
    "<math><mtext></mtext><script>window.hit=9</script></math>",
    "<!--><img src=x onerror=window.hit=10>-->",
    "{{ 7*7 }}${7*7}#{7*7}<%= 7*7 %>",
    "<details open ontoggle=window.hit=11>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<form action=https://evil.example><input autofocus onfocus=window.hit=12>",
    "&lt;script&gt;window.hit=13&lt;/script&gt;",
    "\u2028<script>window.hit=14</script>",
    "\x00<scr\x00ipt>window.hit=15</scr\x00ipt>",
    "<base href=https://evil.example/>",
    "<style>*{background:url(https://evil.example/x)}</style>",
)
MARKDOWN = (
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "`code` **bold** | cell | <b>html</b>",
    "# heading\n\n---\n> quote @someone #123",
    "```\nfence",
    "https://evil.example/?auto=link",
)
TERMINAL = ("\x1b[31mred\x1b[0m", "\x1b]0;title\x07text", "bell\x07back\x08space", "\x9b31mc1")
FORMULA = ('=HYPERLINK("https://evil.example")', "+1+1", "-2+3", "@SUM(A1)", "\t=1+1")
BIDI = ("\u202eevil\u202c", "user\u2066\u2069name", "\u200fabc", "a\u200bb\ufeffc")
SCRIPTS = ("مساعد المبيعات", "עוזר מכירות", "👩‍👩‍👧‍👦 family bot 🚀", "客户支持助手", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢")
HUGE = "x" * 1_000_000
LONG = ("y" * 3_000, "a-name-of-exactly-fifty-characters-for-one-feature", "word " * 500)

EVERYTHING = (*XSS, *MARKDOWN, *TERMINAL, *FORMULA, *BIDI, *SCRIPTS, *LONG)
