// A certified authorization server, and a resource that its tokens open: node server.mjs CLIENTS, which is JSON:
// {"life": seconds, "clients": [{"id", "secret", "auth": "basic" | "body"}]}. Says its port on a line, and ends with its standard input.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const { life, clients } = JSON.parse(process.argv[2]);
const METHODS = { basic: 'client_secret_basic', body: 'client_secret_post' };
const seen = { logins: 0, failed: [], revoked: 0 };

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: clients.map(({ id, secret, auth }) => ({
      client_id: id,
      client_secret: secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: METHODS[auth],
      scope: 'read',
    })),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      revocation: { enabled: true },
    },
    scopes: ['read', 'write'],
    ttl: { ClientCredentials: life },
  });
  provider.on('client_credentials.saved', () => { seen.logins += 1; });
  provider.on('client_credentials.destroyed', () => { seen.revoked += 1; });
  provider.on('grant.error', (_, error) => { seen.failed.push(error.error); });
  provider.use(async (context, next) => {
    if (context.path === '/seen') {
      context.body = seen;
      return;
    }
    if (context.path !== '/who') {
      await next();
      return;
    }
    const shown = /^Bearer (.+)$/.exec(context.get('authorization'));
    const token = shown && await provider.ClientCredentials.find(shown[1]);
    context.status = token ? 200 : 401;
    context.body = token ? { client: token.clientId, scope: token.scope, token: token.jti } : {};
  });
  server.on('request', provider.callback());
  console.log(port);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
