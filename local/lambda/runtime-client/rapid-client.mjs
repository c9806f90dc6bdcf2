/**
 * Stands in for `rapid-client.node` of aws-lambda-ric 4: the Runtime API's next, response and error over node:http.
 * The native `done` and `error` block until they are posted; here `next` waits for them, which gives the same order.
 */
import { Agent, request } from 'node:http';

const [hostname, port] = (process.env.AWS_LAMBDA_RUNTIME_API ?? '').split(':');
const BASE = '/2018-06-01/runtime/invocation';

// The long poll has a connection of its own, as it has in the native client.
const polling = new Agent({ keepAlive: true, maxSockets: 1 });
const posting = new Agent({ keepAlive: true });
const posts = new Set();

/** @returns {Promise<{ bodyJson: string, headers: import('node:http').IncomingHttpHeaders }>} */
export async function next() {
  // With several invocations at once, an answer must not hold up the next question.
  if (process.env.AWS_LAMBDA_MAX_CONCURRENCY === undefined) await Promise.all(posts);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path: `${BASE}/next`, agent: polling }, (response) => {
      const chunks = [];
      response
        .on('data', (chunk) => chunks.push(chunk))
        .on('error', reject)
        .on('end', () => {
          if (response.statusCode !== 200) reject(new Error(`Failed to get next invocation, ${response.statusCode}`));
          else resolve({ bodyJson: Buffer.concat(chunks).toString('utf8'), headers: response.headers });
        });
    })
      .on('error', reject)
      .end();
  });
}

/** @param {string} id @param {string} body */
export function done(id, body) {
  post(`${BASE}/${id}/response`, body, {});
}

/** @param {string} id @param {string} body @param {string} xrayCause */
export function error(id, body, xrayCause) {
  const type = JSON.parse(body).errorType ?? 'Error';
  const cause = /^[\x20-\x7e]*$/.test(xrayCause) ? { 'lambda-runtime-function-xray-error-cause': xrayCause } : {};
  post(`${BASE}/${id}/error`, body, { 'lambda-runtime-function-error-type': encodeURIComponent(type), ...cause });
}

function post(path, body, headers) {
  const bytes = Buffer.from(body, 'utf8');
  const posted = new Promise((resolve) => {
    request(
      {
        hostname,
        port,
        path,
        method: 'POST',
        agent: posting,
        headers: { 'content-type': 'application/json', 'content-length': bytes.length, ...headers },
      },
      (response) => response.resume().on('close', resolve),
    )
      .on('error', resolve)
      .end(bytes);
  }).finally(() => posts.delete(posted));
  posts.add(posted);
}
