/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.archive;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the archive keeps its charters; a test puts a map in its place.
 *
 * @param <I> what identifies a charter there
 */
public interface CharterStore<I extends Comparable<? super I>> {

  /**
   * Looks a charter up.
   *
   * @param id its identity in the store
   * @return the charter, or nothing when the store has none of that identity
   */
  Optional<Charter> find(I id);

  /** Stores a charter under an identity; what stood there before is gone. */
  void put(I id, Charter charter);

  Map<I, Charter> all();

  /** Finds the charter or makes it, so that a caller need not ask twice. */
  default Charter getOrCreate(I id, Supplier<? extends Charter> maker) {
    return find(id).orElseGet(() -> {
      Charter made = maker.get();
      put(id, made);
      return made;
    });
  }
}
