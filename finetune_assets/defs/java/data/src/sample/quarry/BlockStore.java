/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.quarry;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Supplier;

/**
 * The way to wherever the quarry keeps its blocks; a test puts a map in its place.
 *
 * @param <I> what identifies a block there
 */
public interface BlockStore<I extends Comparable<? super I>> {

  /**
   * Looks a block up.
   *
   * @param id its identity in the store
   * @return the block, or nothing when the store has none of that identity
   */
  Optional<Block> find(I id);

  /** Stores a block under an identity; what stood there before is gone. */
  void put(I id, Block block);

  Map<I, Block> all();

  /** Finds the block or makes it, so that a caller need not ask twice. */
  default Block getOrCreate(I id, Supplier<? extends Block> maker) {
    return find(id).orElseGet(() -> {
      Block made = maker.get();
      put(id, made);
      return made;
    });
  }

  /** Copies every block of another store that this one lacks, and returns how many came over. */
  default int adoptBlocks(BlockStore<I> other) {
    int blocksAdopted = 0;
    for (Map.Entry<I, Block> otherBlock : other.all().entrySet()) {
      if (find(otherBlock.getKey()).isEmpty()) {
        put(otherBlock.getKey(), otherBlock.getValue());
        blocksAdopted++;
      }
    }
    return blocksAdopted;
  }

  /** Returns the smallest and the largest identity of any block; of an empty store nothing. */
  default List<I> firstAndLastBlock() {
    SortedSet<I> blocksById = new TreeSet<>(all().keySet());
    return blocksById.isEmpty() ? List.of() : List.of(blocksById.first(), blocksById.last());
  }
}
