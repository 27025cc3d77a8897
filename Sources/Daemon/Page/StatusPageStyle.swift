/// How the status page looks: one column that fits a phone, light or dark as the browser prefers.
enum StatusPageStyle {
    /// SHA-256 of ``rules`` in Base64, by which the page's Content-Security-Policy allows them.
    static let hash = "pv4QXFpCzha4vmuqOSAePMgdWb1wOI37UbDp+oNw+gY="

    static let rules = """
        :root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b1f24; --quiet: #57606a; --line: #d5dae1; --link: #0757b4;
          --good: #1a7f37; --bad: #b42318; --warn: #9a5b00; --plain: #40566f; }
        @media (prefers-color-scheme: dark) {
          :root { --back: #14171b; --card: #1d2126; --text: #e6e9ed; --quiet: #a0a9b4; --line: #343b44; --link: #7fb4ff;
            --good: #2c8a4a; --bad: #c8453a; --warn: #a9690c; --plain: #56708e; }
        }
        * { box-sizing: border-box; }
        body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--back); color: var(--text);
          font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
        header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; justify-content: space-between; }
        h1 { font-size: 1.35rem; margin: 0; }
        h2 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
        h3 { font-size: 1rem; font-weight: 600; margin: 0; }
        p { margin: .25rem 0; }
        ul { list-style: none; margin: 0; padding: 0; }
        .badges { display: flex; gap: .5rem; }
        .badge { display: inline-block; padding: .05rem .5rem; border-radius: 1rem; color: #fff; font-size: .85rem; font-weight: 600; }
        .good { background: var(--good); } .bad { background: var(--bad); } .warn { background: var(--warn); } .plain { background: var(--plain); }
        .checks li { margin: .5rem 0; padding: .5rem .75rem; border-left: .25rem solid var(--line); background: var(--card); }
        .checks .trouble { border-color: var(--bad); }
        .swaps li { margin: .5rem 0; padding: .75rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
        progress { width: 100%; height: .75rem; margin: .5rem 0 0; accent-color: var(--link); }
        .counts, .quiet, .ids, footer { color: var(--quiet); }
        .ids { font-size: .85rem; }
        footer { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin-top: 2rem; border-top: 1px solid var(--line); padding-top: .5rem; font-size: .9rem; }
        nav { display: flex; gap: 1rem; }
        a { color: var(--link); padding: .35rem 0; }
        """
}
