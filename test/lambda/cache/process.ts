/** One process of a gateway, for tests of several: takes its configuration as an argument, tells its URL, ends with its parent. */
import { startCacheGateway } from './gateway.ts';

const [, , config = '{}', env = '{}'] = process.argv;
const gateway = await startCacheGateway(JSON.parse(config), JSON.parse(env));
process.send?.({ url: gateway.url });
process.on('disconnect', () => process.exit());
