import { Script } from './valkey.ts';

/**
 * What has to happen at once. All keys of a script have the same hash tag, so that a cluster has them in one place. A
 * lease names its flight and its leader: whoever has lost it changes nothing any more.
 */

/**
 * Keys: entry, lease, wanted. Arguments: own lease, its milliseconds, oldest entry (Unix milliseconds), milliseconds of
 * the note that somebody follows. Gives the entry, or the leader to follow, or leads.
 */
export const OPEN = new Script(
  3,
  `local entry = redis.call('GET', KEYS[1])
if entry and tonumber(string.sub(entry, 1, 13)) >= tonumber(ARGV[3]) then return {'hit', entry} end
local lease = redis.call('GET', KEYS[2])
if lease then
  redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
  return {'follow', lease}
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[3])
return {'lead', ARGV[1]}`,
);

/**
 * Keys: lease, wanted, stream. Arguments: own lease, its milliseconds, the stream's, and what is new of the answer, as a
 * field and its value. Gives 1 when somebody follows, 0 when nobody does, -1 when the lease is lost.
 */
export const TICK = new Script(
  3,
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[4] then
  redis.call('XADD', KEYS[3], '*', ARGV[4], ARGV[5])
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
return redis.call('EXISTS', KEYS[2])`,
);

/**
 * Keys: entry, lease, wanted, stream. Arguments: own lease, the entry ('' for none), its milliseconds, whether the
 * followers have had all ('1'), the stream's end as a field and its value, the stream's milliseconds. Gives `wanted` when
 * somebody follows who hasn't had all, and does nothing then.
 */
export const FINISH = new Script(
  4,
  `if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'lost' end
if ARGV[4] ~= '1' and redis.call('EXISTS', KEYS[3]) == 1 then return 'wanted' end
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if ARGV[4] == '1' then
  redis.call('XADD', KEYS[4], '*', ARGV[5], ARGV[6])
  redis.call('PEXPIRE', KEYS[4], ARGV[7])
end
redis.call('DEL', KEYS[2], KEYS[3])
return 'done'`,
);

/**
 * Keys: entry, lease, wanted, stream. Arguments: lease to have, its milliseconds, the last part that was read, the
 * note's milliseconds. For a follower who hears nothing: goes on following, finds the entry, or leads.
 */
export const TAKE = new Script(
  4,
  `local more = redis.call('XREAD', 'COUNT', '1', 'STREAMS', KEYS[4], ARGV[3])
if more and #more > 0 then return {'follow'} end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[4])
if redis.call('EXISTS', KEYS[2]) == 1 then return {'follow'} end
if ARGV[3] == '0' then
  local entry = redis.call('GET', KEYS[1])
  if entry then return {'hit', entry} end
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {'lead'}`,
);

export interface Keys {
  readonly entry: string;
  readonly lease: string;
  readonly wanted: string;
  stream(flight: string): string;
}

export const keysOf = (hash: string): Keys => ({
  entry: `llm:{${hash}}:e`,
  lease: `llm:{${hash}}:l`,
  wanted: `llm:{${hash}}:w`,
  stream: (flight) => `llm:{${hash}}:s:${flight}`,
});
