/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.museum;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The way to wherever the museum keeps its exhibits; a test puts a map in its place.
 *
 * @param <I> what identifies a exhibit there
 */
public interface ExhibitStore<I extends Comparable<? super I>> {

  /**
   * Looks a exhibit up.
   *
   * @param id its identity in the store
   * @return the exhibit, or nothing when the store has none of that identity
   */
  Optional<Exhibit> find(I id);

  /** Stores a exhibit under an identity; what stood there before is gone. */
  void put(I id, Exhibit exhibit);

  Map<I, Exhibit> all();

  /** Copies every exhibit of another store that this one lacks, and returns how many came over. */
  default int adoptExhibits(ExhibitStore<I> other) {
    int exhibitsAdopted = 0;
    for (Map.Entry<I, Exhibit> otherExhibit : other.all().entrySet()) {
      if (find(otherExhibit.getKey()).isEmpty()) {
        put(otherExhibit.getKey(), otherExhibit.getValue());
        exhibitsAdopted++;
      }
    }
    return exhibitsAdopted;
  }

  /** Returns the smallest and the largest identity of any exhibit; of an empty store nothing. */
  default List<I> firstAndLastExhibit() {
    SortedSet<I> exhibitsById = new TreeSet<>(all().keySet());
    return exhibitsById.isEmpty() ? List.of() : List.of(exhibitsById.first(), exhibitsById.last());
  }
}
