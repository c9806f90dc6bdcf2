/** js-redis-server in a process of its own, so that it ends like a real one. Its argument is the port. */
import { createRedisServer } from 'js-redis-server';

await createRedisServer({ port: Number(process.argv[2]) });
// It doesn't outlive the one who started it.
process.on('disconnect', () => process.exit());
