"""Style of the pages and their keyboard shortcuts; nothing is fetched from the network."""

CSS = """
.gradio-container { max-width: 1180px !important; margin-inline: auto !important; }
.picture [data-testid="block-label"] { position: static; border: 0; background: none; padding: .3rem .5rem; }
.legend { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; }
.legend li { display: flex; align-items: center; gap: .45rem; margin: 0; }
.legend small { opacity: .8; }
/* Gradio's own rule for the pointer above a radio button hides that it is chosen. */
input[type="radio"]:checked { background-color: var(--checkbox-background-color-selected) !important; }
:focus-visible { outline: 2px solid var(--color-accent) !important; outline-offset: 2px; }
.scale { display: flex; align-items: center; gap: .6rem; margin: 0; }
.scale span { flex: 1; height: .6rem; border-radius: 99px; }
.swatch {
  display: inline-block; flex: none; width: 1.05rem; height: 1.05rem; border-radius: 3px;
  background: var(--swatch); border: 1px solid var(--body-text-color-subdued);
}
.swatch.bare { background: transparent; border-style: dashed; }
.swatch.striped {
  background: repeating-linear-gradient(135deg, #fafafa 0 2px, #282828 2px 4px, transparent 4px 8px);
}
.message {
  margin: 0; padding: .6rem .8rem; border-radius: 6px; border: 1px solid var(--border-color-primary);
}
.message.bad { border-color: #c0392b; border-left-width: 5px; overflow-wrap: anywhere; }
.gap-less:not(:has(p)) { display: none !important; }
.looked-at progress {
  appearance: none; width: 100%; height: .55rem; border: 0; border-radius: 99px; overflow: hidden;
  background: var(--border-color-primary);
}
.looked-at progress::-webkit-progress-bar { background: var(--border-color-primary); }
.looked-at progress::-webkit-progress-value { background: var(--color-accent); }
.looked-at progress::-moz-progress-bar { background: var(--color-accent); }
.looked-at p { margin: .2rem 0 0; }
.facts { margin: 0; overflow-wrap: anywhere; }
kbd {
  border: 1px solid var(--border-color-primary); border-radius: 4px; padding: 0 .35em;
  font-family: var(--font-mono); font-size: .9em;
}
@media (pointer: coarse) { .keys { display: none; } }
@media (max-width: 640px) {
  .gradio-container { padding: .4rem .4rem 8rem !important; }
  .decisions {
    position: fixed; inset: auto 0 0; z-index: 5; padding: .4rem; gap: .4rem !important;
    background: var(--body-background-fill); border-top: 1px solid var(--border-color-primary);
  }
  .decisions button { min-width: 40% !important; padding-inline: .3rem !important; }
}
"""

SHORTCUTS = """
<meta name="referrer" content="no-referrer">
<script>
// Keys of the review page. They press its buttons while these are visible and no text field has the focus.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const target = event.target;
  const fields = "textarea, select, [contenteditable], input:not([type=radio], [type=range])";
  if (target.matches?.(fields)) return;
  const keys = { a: "accept", s: "skip", c: "correct", x: "reject", j: "later", k: "earlier" };
  const wanted = keys[event.key.toLowerCase()];
  const button = wanted && document.getElementById(wanted);
  if (button && button.offsetParent !== null && !button.disabled) { event.preventDefault(); button.click(); }
});
</script>
"""
