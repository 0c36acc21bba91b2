"""The skeletons of web pages, and what stands around a text on the web.

Fields of a skeleton: {lang}, {head}, {site}, {main}, {menu} and {side} (list items), {bar} (links in a row),
{advert}, {cookie}, {script} (may be empty), {footer}, {day}.
"""

from pocketphi.data.primer.world import words

MENU = words(
    "Home,Start,About us,Contact,Lessons,Archive,Search,Sign in,Register,Help,News,Shop,Gallery,Downloads,Links,"
    "Teachers,Parents,Topics,Sitemap,Imprint,Privacy,Terms,Newsletter,Forum,Blog,Calendar,FAQ,Jobs,Partners,Press",
    ",",
)
FOOTERS = (
    "&copy; {year} {site}. All rights reserved.",
    "&#169; {year} {site} &middot; Made with care",
    "Copyright {year} by {site} | Privacy policy | Terms of use",
    "{site} &mdash; last changed on day {day} of {year}",
    "Powered by an old server &bull; {site} {year}",
)
ADVERTS = (
    "Buy one, get one free! Only today.",
    "Your advert could stand here. Call now.",
    "Special offer: 20% off all pencils.",
    "Click here to win a prize!",
    "Download our free app now.",
    "Subscribe to our newsletter and save.",
)
COOKIE = "This site uses cookies. By using it you agree to our cookie policy. <button>Accept</button>"
SCRIPTS = (
    "<script>window.layer=window.layer||[];function track(){layer.push(arguments)}track('load',{day})</script>",
    "<script src='/assets/app.{day}.min.js' async></script>",
    "<script>var menu=document.getElementById('menu');if(menu){menu.className+=' ready';}</script>",
    "<!-- page built by template {day}, do not edit -->",
    "<noscript><img src='/pixel.gif?id={day}' alt=''></noscript>",
)
_SKELETONS = """
<!DOCTYPE html>
<html lang="{lang}">{head}
<body>{cookie}<header><a href="/">{site}</a><nav><ul>{menu}</ul></nav></header>
<main><article>
{main}
</article></main>{advert}<footer><p>{footer}</p></footer>{script}</body></html>
====
<!DOCTYPE html>
<html lang="{lang}">{head}
<body><div id="top">{bar}</div><div id="wrap"><div id="sidebar"><ul>{side}</ul>{advert}</div>
<div id="content">
{main}
</div></div><div id="footer">{footer}</div>{script}{cookie}</body></html>
====
<HTML>{head}<BODY BGCOLOR="#FFFFFF"><TABLE WIDTH="100%"><TR><TD COLSPAN=2><B>{site}</B></TD></TR>
<TR><TD WIDTH=150 VALIGN=top><UL>{menu}</UL>{advert}</TD><TD>
{main}
</TD></TR></TABLE><HR><FONT SIZE=1>{footer}</FONT></BODY></HTML>
====
<!DOCTYPE html>
<html lang="{lang}">{head}<body class="post-{day}">
<div class="site-header"><h2>{site}</h2><ul class="menu">{menu}</ul></div><div class="entry-content">
{main}
</div><div class="widget-area"><h3>Categories</h3><ul>{side}</ul></div>{script}
<div class="site-info">{footer}</div></body></html>
====
<!doctype html>
<html>{head}<body>
<p class="crumbs"><a href="/">Home</a> &raquo; <a href="/all">All pages</a></p>
{main}
<hr>
<p>{bar}</p><small>{footer}</small>
</body></html>
====
<!DOCTYPE html>
<html lang="{lang}">{head}<body>{cookie}
<nav class="navbar"><ul>{menu}</ul><form action="/search"><input name="q"><button>Search</button></form></nav>
<div class="container"><div class="row"><div class="col-8" role="main">
{main}
</div><aside class="col-4"><h4>More</h4><ul>{side}</ul>{advert}</aside></div></div>
<footer class="footer">{footer}</footer>{script}</body></html>
====
<!DOCTYPE html>
<html lang="{lang}">{head}<body><section id="masthead">{site}</section>
<section id="primary"><div class="post">
{main}
</div><div class="share"><a href="#">Share</a> <a href="#">Print</a> <a href="#">E-mail</a></div></section>
<section id="secondary"><ul>{side}</ul></section><footer>{footer}</footer>{script}</body></html>
====
<html>{head}<body><center><h3>{site}</h3>{bar}</center>
<div align="left">
{main}
</div><center>{advert}<br>{footer}</center></body></html>
====
<!DOCTYPE html>
<html lang="{lang}">{head}<body>{script}<div class="layout"><div class="layout__menu"><ul>{menu}</ul></div>
<div class="layout__body"><div class="prose">
{main}
</div><p class="meta">Page {day}. <a href="#">Edit this page</a></p></div></div>
<div class="legal">{footer}</div></body></html>
====
<!DOCTYPE html>
<html lang="{lang}">{head}<body><header><h2>{site}</h2></header><article>
{main}
</article><section class="comments"><h3>Comments</h3>
<p>No comments yet. <a href="/login">Log in</a> to write one.</p></section>
<nav>{bar}</nav><footer>{footer}</footer></body></html>
====
<!DOCTYPE html>
<html lang="{lang}">{head}<body>{cookie}<div role="navigation">{bar}</div>
<table class="page"><tr><td class="left"><ul>{side}</ul></td><td class="text">
{main}
</td></tr></table>{advert}<address>{footer}</address>{script}</body></html>
====
<!DOCTYPE html>
<html lang="{lang}">{head}<body><div class="wiki-head"><a href="/">{site}</a> <a href="/edit/{day}">Edit</a> {bar}</div>
<div class="wiki-text">
{main}
</div><div class="wiki-foot"><p>{footer}</p></div></body></html>
"""
SKELETONS = tuple(skeleton.strip() + "\n" for skeleton in _SKELETONS.split("\n====\n"))
