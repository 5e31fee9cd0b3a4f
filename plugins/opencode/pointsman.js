// When OpenCode's session falls idle: run the check of this `pointsman run`, and go on with the failure where there is one.
// It stays out of the way: whatever goes wrong here, the session stays idle as it would without us.
import { spawn } from "node:child_process"

const ask = (session) =>
  new Promise((done) => {
    const hook = spawn("sh", ["-c", `${process.env.POINTSMAN_COMMAND || "pointsman"} hook opencode`], {
      stdio: ["pipe", "pipe", "ignore"],
    })
    let said = ""
    hook.stdout.on("data", (chunk) => (said += chunk))
    hook.on("error", () => done({}))
    hook.on("close", () => {
      try {
        done(JSON.parse(said || "{}"))
      } catch {
        done({})
      }
    })
    hook.stdin.on("error", () => {})
    hook.stdin.end(JSON.stringify({ hook_event_name: "Stop", session_id: session }))
  })

export const Pointsman = async ({ client }) => {
  if (!process.env.POINTSMAN_CHECK) return {}
  return {
    event: async ({ event }) => {
      if (event.type !== "session.idle") return
      const session = event.properties.sessionID
      const answer = await ask(session)
      if (answer.decision === "block") {
        const parts = [{ type: "text", text: answer.reason }]
        await client.session.prompt({ path: { id: session }, body: { parts } }).catch(() => {})
      } else if (answer.systemMessage) {
        const body = { message: answer.systemMessage.split("\n")[0], variant: "warning" }
        await client.tui.showToast({ body }).catch(() => {})
      }
    },
  }
}
