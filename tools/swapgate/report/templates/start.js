// Addresses: #cell-… and #pair-… open what hides their target; #?… is a filter. The link to the other language keeps the place.
(() => {
  const go = () => {
    const hash = location.hash;
    if (hash.startsWith("#?")) { filtering?.write(new URLSearchParams(hash.slice(2))); filtering?.apply(); return; }
    const target = hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1))) : null;
    if (!target) return;
    if (target.closest("[hidden]")) filtering?.clear();
    for (let inside = target; inside; inside = inside.parentElement) if (inside.tagName === "DETAILS") inside.open = true;
    target.scrollIntoView();
    if (target.matches("figure.pair")) stage?.open(target);
  };
  for (const link of document.querySelectorAll("a.switch")) link.addEventListener("click", () => { link.hash = location.hash; });
  addEventListener("hashchange", go);
  filtering?.apply();
  // The browser's own jump to a fragment comes after this script, and would take the focus from the stage.
  addEventListener("load", () => setTimeout(go));
})();
