"""Judges of several agents: debates, panels and checkers on one engine.

A system is a definition. It has roles (whom to ask, with which prompt) and steps, of which there are seven kinds:

- `speak`: roles say something, one by one or all at once; what they say goes to the board, where later speakers see it.
- `summarise`: a role sums up the board, if anything stands there, and its summary takes the place of that.
- `rounds`: steps that are repeated.
- `checklist`: a role writes a list of points from the question and the reference.
- `check`: a role checks each response against each point, alone, with tools; the results go to the board.
- `vote`: what the roles said last, or say when they are asked, is counted.
- `decide`: a role says the verdict.

The last `vote` or `decide` makes the judgment. In TOML::

    adapter = "calf.agents.system:AgentJudge"

    [files.prompts]                       # name = { language = file }
    referee = { en = "prompts/referee.en.txt", zh = "prompts/referee.zh.txt" }
    turn = { en = "prompts/turn.en.txt", zh = "prompts/turn.zh.txt" }

    [parameters.roles.public]             # persona and prompt are names from above
    prompt = "referee"
    title = { en = "General public", zh = "普通公众" }

    [parameters.roles.critic]
    prompt = "referee"
    model = "another-model"               # any of a judge's options that says whom to ask and how

    [[parameters.steps]]
    kind = "rounds"                       # times: the option turns
    steps = [{ kind = "speak", who = ["public", "critic"], prompt = "turn", verdict = true }]

    [[parameters.steps]]
    kind = "vote"                         # without a prompt: of the verdicts that were said last
    who = ["public", "critic"]

A role has one conversation over all steps: its prompt and the material first, then what others have said since it spoke
last, each in a block of its own that no text can leave. So a server can keep what comes before, and an answer's key in
the cache holds all that led to it.
"""
