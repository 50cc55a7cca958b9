// A real OpenID provider on loopback: `node provider.mjs PORT REDIRECT_URI POST_LOGOUT_URI`. Whoever signs in is who they say;
// their groups stand in GROUPS (JSON of name → list). The client's secret comes in CLIENT_SECRET.
import Provider from "oidc-provider";

const [port, redirect, after] = process.argv.slice(2);
const groups = JSON.parse(process.env.GROUPS);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "countersign",
      client_secret: process.env.CLIENT_SECRET,
      redirect_uris: [redirect],
      post_logout_redirect_uris: [after],
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  ttl: { IdToken: 3600, AccessToken: 3600, AuthorizationCode: 60, Interaction: 600, Session: 3600, Grant: 3600 },
  cookies: { keys: [process.env.CLIENT_SECRET] },
  findAccount: async (_ctx, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: id.replace(/^.*:/, ""), groups: groups[id] ?? [] }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
