/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.museum;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a exhibit is asked for; it has grown with every wish of the museum. */
public class ExhibitForm {

  String inventory;
  String gallery;
  String applicant;
  String telephone;
  String remarks;
  int visitors;
  LocalDate wantedFrom;

  ExhibitForm(
      String inventory, String gallery, String applicant, String telephone, String remarks, int visitors,
      LocalDate wantedFrom) {
    this.inventory = inventory;
    this.gallery = gallery;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.visitors = visitors;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return inventory != null && gallery != null && applicant != null && wantedFrom != null;
  }

  public Exhibit toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Exhibit(inventory, gallery, visitors, first);
  }

  public String summary() {
    return "%s wants %d visitors a day in %s".formatted(applicant, visitors, gallery);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (inventory == null) {
      names.add("inventory");
    }
    if (gallery == null) {
      names.add("gallery");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
