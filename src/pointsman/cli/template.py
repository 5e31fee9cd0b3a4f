"""The settings file that `config init` writes: every key, as a comment with what holds without it."""

TEMPLATE = """\
# Pointsman's settings. Every line is optional; what is written here is what holds without it.
# Order, later wins: defaults, this file, the project's .pointsman.toml (which only makes things stricter), command line flags.

# profile = "quality"       # quality: the asked model or better. balanced: weaker ones on turns a check guards.
#                           # fast: fewer minutes. saver: also weaker ones, unguarded.
# mode = "auto"             # observe: price and record everything, change nothing
# consent_up = false        # may a stronger model be used after a failed check, at your expense? left out: you are asked once
# up_cap_usd = 2.0          # what that may cost one task beyond the model you asked for
# efforts = true            # the effort you ask for may be changed as a model may: weaker where allowed, stronger by consent
# failure_usd = 5.0         # what one failure that you have to notice yourself costs you (five minutes at $60 an hour)
# check = false             # "pytest -q": run it when the agent says it is done; true: something outside reports check_passed
#                           # or a table [check]: command; cwd (left out: where `run` was called); timeout_s = 300 (then it is
#                           # ended, with everything it started); paths = ["src/**"] (only changes there make it run); env;
#                           # retries = 1 (how often in one task a failure sends the agent on by itself)
# check_recall = 0.8        # check = true: the share of failed work that it catches
# check_false_alarm = 0.1   # and of good work that it blames; a check that we run learns both from its own record
# side = true               # housekeeping (titles, commit messages) may go to the cheapest model that can do it
# cache_diagnostics = false # ask Anthropic and OpenAI why a cache was missed, and show it beside our own number
# titles = true             # keep the first words of a session in the ledger, to recognise it
# pool = ["claude-haiku-4-5", "claude-sonnet-4-5"]   # choose among these, cheap to strong, instead of the vendor's ladder
# allow = []                # only these models
# deny = []                 # never these models
# floor = "sonnet"          # no move below this model; what you ask for is always sent
# ceiling = "opus"          # no move above it
# risk = 0.1                # your own outcomes certify a weaker model that fails in at most this share of tasks (95 %)
# asked = "claude-sonnet-4-5"   # the baseline, where it is not what the agent asks for

# schedule = "2:cheaper,4:asked"   # this model from request N of a session on, for tests and demonstrations
# seed = 0                  # what draws are repeated with in a replay

# deadline_s = 1800         # seconds after which nothing is begun by itself: no failover of a request, no retry in a turn
# silence_s = 120           # a provider that says nothing for so long at the start of a stream is left for its fallback
# port = 4141
# upstream = "https://gateway.example.com"           # one base URL for every protocol

# [protect]                 # work that keeps the model you asked for, or better; a list of globs will do as well
# paths = ["billing/**"]    # at any depth, with all below; in addition to migrations, auth, secrets, infrastructure
# commands = ["make ship"]  # in addition to deletes, pushes, resets, publishing, deploying
# tools = ["mcp__prod__*"]
# defaults = true           # false: only what is listed here
# stakes = 3.0              # a failure there costs so many times failure_usd

# [kinds]                   # a model for a kind of task: plan, explore, edit, debug, test, review, commit, chat
# plan = "opus"
# [kinds.frontend]          # or for a kind of your own, shown by what it touches
# model = "glm-5"
# paths = ["web/**", "*.tsx"]

# [budget]                  # USD at list prices; never fails a request
# session = 5.0
# day = 20.0
# then = "warn"             # hold: nothing dearer than asked; cheapest: the cheapest that your profile admits

# [advisor]                 # a stronger model that is asked for advice, at your expense
# model = "opus"
# mode = "push"             # push: when we think it pays; pull: when the working model asks; both; off
# per_session = 3           # consults at most
# budget_usd = 0.5          # what one may cost
# digest_tokens = 15000     # how much of the session it is shown
# max_tokens = 2048         # how long its answer may be
# timeout_s = 90            # then the work goes on without it
# keep_text = false         # keep what it said in the ledger
# provider_tool = false     # prefer Anthropic's own advisor tool where the two models allow it

# [upstreams]               # or one per vendor
# anthropic = "https://api.anthropic.com"

# [keys]                    # environment variable with the key of another vendor, for models of more than one vendor in the pool
# openai = "OPENAI_API_KEY" # this is where it is looked for anyway

# [deployments.spare]       # another place that serves a vendor's models
# url = "https://eu.example.com"
# vendor = "anthropic"
# key_env = "SPARE_KEY"     # its key; left out: what the agent sends

# [fallbacks]               # who takes over when a provider fails before it has answered: deployments, then models
# anthropic = ["spare"]
# "claude-opus-5-5" = ["claude-sonnet-5-5"]

# [prices."my-model"]       # USD per million tokens, where the installed price map is wrong or silent
# input = 3.0
# output = 15.0
# cache_read = 0.3
# cache_write = 3.75
# cache_write_1h = 6.0
# reasoning = 15.0          # left out: the output price
# discount_factor = 0.85    # times every price: 15 % off
# quota_weight = 1.0        # what a list dollar counts of a subscription's quota
# window = 200000           # tokens
# max_output = 64000        # tokens
# provider = "anthropic"    # whose API serves it
"""
