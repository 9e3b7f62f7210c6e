/**
 * Seeds: 32 bits that both ends of the wire derive alike, so that no rotation is ever transmitted.
 *
 * 32-bit FNV-1a (Fowler, Noll, Vo) over
 *
 *   the sender's name, one byte a character | epoch, uint64 LE | seq, uint64 LE | index, uint32 LE
 *
 * and then the finaliser of MurmurHash3 (Appleby, 2011, public domain), because FNV alone leaves
 * the seeds of neighbouring vectors related.
 * @module
 */
import { assert } from "../../core/index.ts";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const WORD = 2 ** 32;

/** What every tracking residual is rotated with: there the sender needs no randomness of its own. */
export const TRACKING_SEED = 0;

/** The seed of vector `index` of the delta (`epoch`, `seq`) that `sender` (`tenant/device`) sent. */
export function seedOf(sender: string, epoch: number, seq: number, index: number): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < sender.length; at += 1) {
    const unit = sender.charCodeAt(at);
    assert(unit < 0x80, "ids are ASCII, so that a character is a byte");
    hash = Math.imul(hash ^ unit, FNV_PRIME);
  }
  hash = hashWord(hash, epoch % WORD);
  hash = hashWord(hash, Math.floor(epoch / WORD));
  hash = hashWord(hash, seq % WORD);
  hash = hashWord(hash, Math.floor(seq / WORD));
  return mixed(hashWord(hash, index));
}

/** FNV-1a over the four bytes of `word`, lowest first. */
function hashWord(hash: number, word: number): number {
  let state = hash;
  for (let shift = 0; shift < 32; shift += 8) {
    state = Math.imul(state ^ ((word >>> shift) & 0xff), FNV_PRIME);
  }
  return state;
}

/** MurmurHash3's fmix32: every bit of the result depends on every bit of `word`. */
export function mixed(word: number): number {
  let state = word | 0;
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
