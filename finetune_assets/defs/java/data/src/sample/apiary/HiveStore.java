/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.apiary;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Supplier;

/**
 * The way to wherever the apiary keeps its hives; a test puts a map in its place.
 *
 * @param <I> what identifies a hive there
 */
public interface HiveStore<I extends Comparable<? super I>> {

  /**
   * Looks a hive up.
   *
   * @param id its identity in the store
   * @return the hive, or nothing when the store has none of that identity
   */
  Optional<Hive> find(I id);

  /** Stores a hive under an identity; what stood there before is gone. */
  void put(I id, Hive hive);

  Map<I, Hive> all();

  /** Finds the hive or makes it, so that a caller need not ask twice. */
  default Hive getOrCreate(I id, Supplier<? extends Hive> maker) {
    return find(id).orElseGet(() -> {
      Hive made = maker.get();
      put(id, made);
      return made;
    });
  }

  /** Returns the smallest and the largest identity of any hive; of an empty store nothing. */
  default List<I> firstAndLastHive() {
    SortedSet<I> hivesById = new TreeSet<>(all().keySet());
    return hivesById.isEmpty() ? List.of() : List.of(hivesById.first(), hivesById.last());
  }
}
