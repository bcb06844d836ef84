"""How the page looks, and the few lines of script that sort and filter its tables; both are constants.

Colours hold a contrast of 4.5 to 1 in both schemes, and no meaning hangs on a colour alone: a shape and a word are
always beside it.
"""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--ground:#fff;--text:#1a1d21;--dim:#555c66;--line:#d5d9df;--soft:#f3f5f8;
--good:#0b5394;--bad:#a33b00;--open:#6a4a00;--mark:#ffe9a8;--heat:31,111,180}
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--text:#e8eaed;--dim:#a9b1bc;--line:#3a414b;--soft:#1e2329;
--good:#8ec5ff;--bad:#ffad7a;--open:#f0cf7a;--mark:#5a4a10;--heat:90,160,230}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem 1.25rem 4rem;max-width:68rem;background:var(--ground);color:var(--text);
font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}
h2{font-size:1.25rem;margin:2.75rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.5rem 0 .25rem}
p{margin:.5rem 0;max-width:48rem}
a{color:var(--good)}
code{font-family:ui-monospace,monospace;font-size:.92em}
.dim{color:var(--dim)}
.verdict{border:2px solid var(--line);border-left-width:.6rem;border-radius:.4rem;padding:.75rem 1rem;margin:1rem 0;
background:var(--soft)}
.verdict p{font-size:1.1rem;max-width:none}
.verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}.verdict.open{border-color:var(--open)}
.sign{font-weight:700;white-space:nowrap}
.good .sign,.sign.good{color:var(--good)}.bad .sign,.sign.bad{color:var(--bad)}.open .sign,.sign.open{color:var(--open)}
.note{border-left:.3rem solid var(--open);padding:.25rem .75rem;margin:.75rem 0;background:var(--soft)}
.note{max-width:none}.note.bad{border-color:var(--bad)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1rem;padding:0;margin:.5rem 0;font-size:.95rem}
.scroll{overflow-x:auto;margin:.75rem 0}
.scroll:focus-visible,summary:focus-visible,a:focus-visible,button:focus-visible,input:focus-visible{
outline:3px solid var(--good);outline-offset:2px}
table{border-collapse:collapse;font-size:.93rem;min-width:50%}
caption{text-align:left;color:var(--dim);padding:.25rem 0;font-size:.93rem}
th,td{border-bottom:1px solid var(--line);padding:.35rem .6rem;text-align:left;vertical-align:top;
overflow-wrap:normal;min-width:3.5rem}
tbody th{font-weight:600}
table+table{margin-top:.75rem}
thead th,thead td{border-bottom:2px solid var(--line);vertical-align:bottom}
.n{text-align:right;font-variant-numeric:tabular-nums}
td.n,.wide{white-space:nowrap}
.texts td,.texts th{overflow-wrap:anywhere;min-width:9rem}
.texts td.n{min-width:5rem}
mark{background:var(--mark);color:inherit;text-decoration:underline}
th button{font:inherit;font-weight:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer;
text-align:inherit;text-decoration:underline dotted}
.filter{display:block;margin:.5rem 0;color:var(--dim)}
.filter input{font:inherit;padding:.2rem .4rem;width:18rem;max-width:100%;background:var(--ground);color:var(--text);
border:1px solid var(--dim);border-radius:.3rem}
details{margin:.75rem 0}summary{cursor:pointer;font-weight:600}
.forest{margin:.75rem 0}
.forest .row,.forest .axis{display:grid;grid-template-columns:16rem minmax(10rem,1fr) 16rem;gap:0 .75rem;
align-items:center;border-bottom:1px solid var(--line);padding:.15rem 0}
.forest .row.first{background:var(--soft);font-weight:600;outline:2px solid var(--line)}
.forest svg{width:100%;height:auto;display:block;overflow:visible}
.forest .told{font-variant-numeric:tabular-nums;font-size:.93rem}
.forest .better{fill:var(--good);stroke:var(--good)}.forest .worse{fill:var(--bad);stroke:var(--bad)}
.forest .neither{fill:var(--ground);stroke:var(--dim)}
.forest .bar{stroke-width:3}.forest .zero{stroke:var(--text);stroke-width:1.5}
.forest .grid{stroke:var(--line);stroke-width:1}
.forest text{fill:var(--dim);font-size:13px;font-weight:400}
.heat td{text-align:center;min-width:2.5rem;border:1px solid var(--line)}
.heat thead th{font-weight:500;min-width:4rem;max-width:9rem}
.h1{background:rgba(var(--heat),.1)}.h2{background:rgba(var(--heat),.2)}.h3{background:rgba(var(--heat),.3)}
.h4{background:rgba(var(--heat),.4)}.h5{background:rgba(var(--heat),.5)}
.diagonal{font-weight:700;outline:2px solid var(--text);outline-offset:-3px}
dt{font-weight:600;margin-top:.6rem}dd{margin:0 0 0 1rem;max-width:46rem}
@media(max-width:40rem){body{padding:.5rem .75rem 3rem}.forest .row,.forest .axis{grid-template-columns:1fr}
.forest .axis span{display:none}h1{font-size:1.35rem}
.texts thead{display:none}.texts tr,.texts th,.texts td,.texts tbody,.texts caption,.texts{display:block}
.texts th,.texts td{border:0;padding:.15rem 0}.texts tr{border-bottom:2px solid var(--line);padding:.5rem 0}
.texts tr[hidden]{display:none}.texts td::before{content:attr(data-label);display:block;font-size:.85rem;
color:var(--dim)}}
@media print{:root{color-scheme:light;--ground:#fff;--text:#000;--dim:#333;--soft:#f3f5f8;--line:#bbb;--good:#0b5394;
--bad:#a33b00;--open:#6a4a00;--mark:#ffe9a8;--heat:31,111,180}
body{max-width:none;font-size:.85rem}.scroll{overflow:visible}nav,.filter{display:none}
tr,.row,.verdict{break-inside:avoid}h2,h3{break-after:avoid}}
"""

SCRIPT = """
document.querySelectorAll('table.sortable').forEach(function(table){
  var body=table.tBodies[0],rows=Array.prototype.slice.call(body.rows);
  if(rows.length<4)return;
  var label=document.createElement('label'),input=document.createElement('input');
  label.className='filter';label.textContent='Show rows that hold: ';input.type='search';label.appendChild(input);
  table.parentNode.parentNode.insertBefore(label,table.parentNode);
  input.addEventListener('input',function(){
    var wanted=input.value.toLowerCase();
    rows.forEach(function(row){row.hidden=row.textContent.toLowerCase().indexOf(wanted)<0});
  });
  Array.prototype.forEach.call(table.tHead.rows[0].cells,function(head,column){
    if(!head.textContent)return;
    var button=document.createElement('button'),up=false;
    button.type='button';button.textContent=head.textContent;head.textContent='';head.appendChild(button);
    button.addEventListener('click',function(){
      up=!up;
      Array.prototype.forEach.call(table.tHead.rows[0].cells,function(other){other.removeAttribute('aria-sort')});
      head.setAttribute('aria-sort',up?'ascending':'descending');
      rows.sort(function(one,other){
        var a=one.cells[column].textContent,b=other.cells[column].textContent;
        var x=parseFloat(a.replace(/,/g,'')),y=parseFloat(b.replace(/,/g,''));
        var order=isNaN(x)||isNaN(y)?a.localeCompare(b):x-y;
        return up?order:-order;
      });
      rows.forEach(function(row){body.appendChild(row)});
    });
  });
});
"""


def policy() -> str:
    """Return the page's Content-Security-Policy: this style, this script, and nothing from anywhere."""
    return (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
